// The command loop of the clients in JavaScript; client_programs.py says what the commands are.

import { createInterface } from 'node:readline'

export class Unsupported extends Error {}

const lines = []
let wake = () => {}

const reader = createInterface({ input: process.stdin })
reader.on('line', line => { lines.push(line.split(' ').filter(Boolean)); wake() })
reader.on('close', () => { lines.push([]); wake() })

async function next () {
  while (lines.length === 0) {
    await new Promise(resolve => { wake = resolve })
  }
  return lines.shift()
}

// Resolves when the next command is there, which is "leave"; takes nothing.
export async function toldToLeave () {
  while (lines.length === 0) {
    await new Promise(resolve => { wake = resolve })
  }
}

export const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

// The n-th of the records to be produced.
export const record = (n, time, partitions) => ({
  partition: n % partitions,
  timestamp: time + n,
  key: 'k' + n,
  value: n + '.'.repeat(100),
  header: '' + n
})

export function show (partition, offset, time, key, value, [name, header]) {
  console.log(`record ${partition} ${offset} ${time} ${key} ${value} ${name}=${header}`)
}

export const is = (...words) => console.log(['is', ...words].join(' '))

// Tells what a member has.
export function assigned (partitions) {
  console.log(['assigned', ...[...partitions].sort((a, b) => a - b)].join(' '))
}

async function answer (handlers, [name, ...words]) {
  try {
    await handlers[name](...words)
    console.log('ok')
  } catch (error) {
    const said = [error.message, error.cause?.message, ...(error.errors ?? []).map(String),
      ...(error.partitions ?? []).map(p => String(p.error ?? ""))]
    console.log(error instanceof Unsupported ? 'unsupported' : 'error',
      said.filter(Boolean).join(': ').replaceAll('\n', ' '))
  }
}

export async function serve (handlers) {
  for (let words = await next(); words.length > 0; words = await next()) {
    if (words[0] !== 'leave') {
      await answer(handlers, words)
    }
  }
  process.exit(0)
}
