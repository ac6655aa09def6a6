"""Apache Kafka's command-line tools, run out of its jars. For the optional suites."""

import os
import subprocess

import kafka_jars
from broker import Failed, Skipped


def require():
    """Skips unless the optional suites were asked for and Kafka's jars are to be had."""
    if not os.environ.get("CHRONIK_OPTIONAL"):
        raise Skipped("optional: scripts/test --optional runs it")
    try:
        kafka_jars.classpath()
    except kafka_jars.Unavailable as reason:
        raise Skipped(str(reason))


def tool(main, *arguments, stdin=None, fails=False, seconds=120):
    """Runs one of Kafka's tools; what it printed, on both outputs. An exit code other than 0 is a
    failure, or the other way round with `fails`. (Many end with 0 all the same: read the text.)"""
    command = ["java", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-cp", kafka_jars.classpath(), main]
    done = subprocess.run(command + [str(a) for a in arguments], input=stdin, text=True,
                          timeout=seconds, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if (done.returncode != 0) != fails:
        raise Failed("%s %s ended with %d:\n%s" % (main, " ".join(map(str, arguments)),
                                                   done.returncode, done.stdout))
    return done.stdout
