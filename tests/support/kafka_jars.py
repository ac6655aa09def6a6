"""Apache Kafka's own jars, for the optional suites that compare with it.

Maven fetches them once into its repository; the class path is kept in a cache directory
($CHRONIK_CACHE, else ~/.cache/chronik). Nothing here is needed to build or to run chronikd.
"""

import os
import shutil
import subprocess
import tempfile

VERSION = "4.4.0"
ARTIFACTS = (
    ("org.apache.kafka", "kafka-tools", VERSION),
    ("org.apache.kafka", "kafka_2.13", VERSION),
    ("org.slf4j", "slf4j-nop", "1.7.36"),  # or each tool complains that nobody logs
)

POM = """<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>chronik</groupId><artifactId>kafka-jars</artifactId><version>1</version>
  <dependencies>{dependencies}</dependencies>
</project>
"""

DEPENDENCY = """
    <dependency>
      <groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version>
    </dependency>"""


class Unavailable(Exception):
    """Java, Maven or the jars are not to be had here: skip the suite and say so."""


def cache_dir():
    path = os.environ.get("CHRONIK_CACHE", os.path.expanduser("~/.cache/chronik"))
    os.makedirs(path, exist_ok=True)
    return path


def _still_there(classpath):
    return classpath and all(os.path.exists(jar) for jar in classpath.split(":"))


def _ask_maven(to):
    with tempfile.TemporaryDirectory(prefix="kafka-jars.") as project:
        dependencies = "".join(DEPENDENCY.format(*artifact) for artifact in ARTIFACTS)
        with open(os.path.join(project, "pom.xml"), "w") as pom:
            pom.write(POM.format(dependencies=dependencies))
        maven = subprocess.run(["mvn", "-q", "-B", "dependency:build-classpath",
                                "-Dmdep.outputFile=" + to], cwd=project, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if maven.returncode != 0:
            raise Unavailable("Maven could not fetch Kafka %s: %s"
                              % (VERSION, maven.stdout.strip().split("\n")[-1]))


def classpath():
    """Java's class path with Kafka's broker and tools in it."""
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            raise Unavailable("%s is not installed" % program)
    kept = os.path.join(cache_dir(), "kafka-%s-%d.classpath" % (VERSION, len(ARTIFACTS)))
    for attempt in (1, 2):
        if os.path.exists(kept):
            with open(kept) as file:
                found = file.read().strip()
            if _still_there(found):
                return found
        if attempt == 1:
            _ask_maven(kept)
    raise Unavailable("Maven named jars that are not there")
