// franz-go for tests/clients/every_client; the commands stand in client_programs.py.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	seeds []string
	admin *kadm.Client
	lines = make(chan []string, 16)
)

func number(word string) int {
	n, err := strconv.Atoi(word)
	if err != nil {
		panic(err)
	}
	return n
}

func client(options ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(options, kgo.SeedBrokers(seeds...))...)
}

// ---- records ----

var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

func produce(w []string) error {
	options := []kgo.Opt{kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(20 * time.Millisecond),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(codecs[w[3]])}
	if w[7] == "plain" {
		options = append(options, kgo.DisableIdempotentWrite())
	}
	c, err := client(options...)
	if err != nil {
		return err
	}
	defer c.Close()
	var lock sync.Mutex
	var failed error
	for n := number(w[4]); n < number(w[5]); n++ {
		record := &kgo.Record{Topic: w[1], Partition: int32(n % number(w[2])),
			Key: []byte(fmt.Sprint("k", n)), Value: []byte(fmt.Sprint(n) + strings.Repeat(".", 100)),
			Headers:   []kgo.RecordHeader{{Key: "n", Value: []byte(fmt.Sprint(n))}},
			Timestamp: time.UnixMilli(int64(number(w[6]) + n))}
		c.Produce(context.Background(), record, func(_ *kgo.Record, err error) {
			lock.Lock()
			defer lock.Unlock()
			failed = errors.Join(failed, err)
		})
		time.Sleep(time.Duration(number(w[8])) * time.Millisecond)
	}
	return errors.Join(c.Flush(context.Background()), failed)
}

func show(r *kgo.Record) {
	fmt.Println("record", r.Partition, r.Offset, r.Timestamp.UnixMilli(), string(r.Key),
		string(r.Value), r.Headers[0].Key+"="+string(r.Headers[0].Value))
}

// Reads partitions from where it is told, until it has shown `count` records.
func read(topic string, from map[int32]kgo.Offset, count int) error {
	c, err := client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for seen := 0; seen < count && ctx.Err() == nil; {
		c.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			if seen++; seen <= count {
				show(r)
			}
		})
	}
	return nil
}

func consume(w []string) error {
	from := map[int32]kgo.Offset{}
	for i := 0; i < number(w[2]); i++ {
		from[int32(i)] = kgo.NewOffset().AtStart()
	}
	return read(w[1], from, number(w[3]))
}

func seek(w []string) error {
	at := kgo.NewOffset().AfterMilli(int64(number(w[3])))
	return read(w[1], map[int32]kgo.Offset{int32(number(w[2])): at}, 1)
}

// ---- groups ----

type partitions struct {
	sync.Mutex
	mine []int32
}

func (p *partitions) changed(topic string, added, removed map[string][]int32) {
	p.Lock()
	defer p.Unlock()
	p.mine = append(p.mine, added[topic]...)
	p.mine = slices.DeleteFunc(p.mine, func(n int32) bool {
		return slices.Contains(removed[topic], n)
	})
	slices.Sort(p.mine)
	fmt.Println("assigned", strings.Trim(fmt.Sprint(p.mine), "[]"))
}

func member(w []string) error {
	var have partitions
	topic := w[2]
	balancer := kgo.RangeBalancer()
	if w[3] == "cooperative" {
		balancer = kgo.CooperativeStickyBalancer()
	}
	type change = map[string][]int32
	options := []kgo.Opt{kgo.ConsumerGroup(w[1]), kgo.ConsumeTopics(topic), kgo.Balancers(balancer),
		kgo.SessionTimeout(6 * time.Second), kgo.HeartbeatInterval(300 * time.Millisecond),
		kgo.DisableAutoCommit(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, added change) {
			have.changed(topic, added, nil)
		}),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, removed change) {
			have.changed(topic, nil, removed)
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, removed change) {
			have.changed(topic, nil, removed)
		})}
	if w[4] != "-" {
		options = append(options, kgo.InstanceID(w[4]))
	}
	c, err := client(options...)
	if err != nil {
		return err
	}
	defer c.Close()
	for len(lines) == 0 {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		fetches := c.PollFetches(ctx)
		cancel()
		fetches.EachRecord(show)
		if fetches.NumRecords() > 0 {
			// What a rebalance prevents is read and committed again.
			_ = c.CommitRecords(context.Background(), fetches.Records()...)
		}
	}
	return nil
}

// ---- administration ----

func createTopic(w []string) error {
	_, err := admin.CreateTopic(context.Background(), int32(number(w[2])), int16(number(w[3])), nil,
		w[1])
	return err
}

func describeTopic(w []string) error {
	found, err := admin.ListTopics(context.Background(), w[1])
	if err == nil && found[w[1]].Err == nil {
		fmt.Println("is", len(found[w[1]].Partitions), len(found[w[1]].Partitions[0].Replicas))
	}
	return errors.Join(err, found[w[1]].Err)
}

func listTopics([]string) error {
	found, err := admin.ListTopics(context.Background())
	for topic := range found {
		fmt.Println("is", topic)
	}
	return err
}

func setConfig(w []string) error {
	answer, err := admin.AlterTopicConfigs(context.Background(),
		[]kadm.AlterConfig{{Op: kadm.SetConfig, Name: w[2], Value: &w[3]}}, w[1])
	if err != nil {
		return err
	}
	return answer[0].Err
}

func getConfig(w []string) error {
	found, err := admin.DescribeTopicConfigs(context.Background(), w[1])
	if err != nil {
		return err
	}
	for _, config := range found[0].Configs {
		if config.Key == w[2] {
			fmt.Println("is", *config.Value)
		}
	}
	return found[0].Err
}

func addPartitions(w []string) error {
	answer, err := admin.UpdatePartitions(context.Background(), number(w[2]), w[1])
	return errors.Join(err, answer[w[1]].Err)
}

func offset(topic, partition, at string) kadm.Offsets {
	offsets := kadm.Offsets{}
	offsets.AddOffset(topic, int32(number(partition)), int64(number(at)), -1)
	return offsets
}

func deleteRecords(w []string) error {
	answer, err := admin.DeleteRecords(context.Background(), offset(w[1], w[2], w[3]))
	return errors.Join(err, answer.Error())
}

func deleteTopic(w []string) error {
	_, err := admin.DeleteTopic(context.Background(), w[1])
	return err
}

func listGroups([]string) error {
	found, err := admin.ListGroups(context.Background())
	for group := range found {
		fmt.Println("is", group)
	}
	return err
}

func describeGroup(w []string) error {
	found, err := admin.DescribeGroups(context.Background(), w[1])
	if err == nil {
		fmt.Println("is", found[w[1]].State, len(found[w[1]].Members))
	}
	return errors.Join(err, found[w[1]].Err)
}

func committed(w []string) error {
	found, err := admin.FetchOffsets(context.Background(), w[1])
	for partition, offset := range found[w[2]] {
		fmt.Println("is", partition, offset.At)
	}
	return err
}

func setOffset(w []string) error {
	return admin.CommitAllOffsets(context.Background(), w[1], offset(w[2], w[3], w[4]))
}

func deleteGroup(w []string) error {
	_, err := admin.DeleteGroup(context.Background(), w[1])
	return err
}

// ---- the loop ----

var handlers = map[string]func([]string) error{
	"produce": produce, "consume": consume, "seek": seek, "member": member,
	"create-topic": createTopic, "describe-topic": describeTopic, "list-topics": listTopics,
	"set-config": setConfig, "get-config": getConfig, "add-partitions": addPartitions,
	"delete-records": deleteRecords, "delete-topic": deleteTopic, "list-groups": listGroups,
	"describe-group": describeGroup, "committed": committed, "set-offset": setOffset,
	"delete-group": deleteGroup,
}

func main() {
	seeds = strings.Split(os.Args[1], ",")
	c, err := client()
	if err != nil {
		panic(err)
	}
	admin = kadm.NewClient(c)
	go func() {
		in := bufio.NewScanner(os.Stdin)
		for in.Scan() {
			lines <- strings.Fields(in.Text())
		}
		lines <- nil
	}()
	for words := <-lines; len(words) > 0; words = <-lines {
		if words[0] == "leave" {
			continue
		}
		if err := handlers[words[0]](words); err != nil {
			fmt.Println("error", strings.ReplaceAll(err.Error(), "\n", " "), kerr.IsRetriable(err))
		} else {
			fmt.Println("ok")
		}
	}
}
