// sarama for tests/clients/every_client; the commands stand in client_programs.py.
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

	"github.com/IBM/sarama"
)

var (
	seeds []string
	admin sarama.ClusterAdmin
	lines = make(chan []string, 16)
)

func number(word string) int {
	n, err := strconv.Atoi(word)
	if err != nil {
		panic(err)
	}
	return n
}

func config() *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.MaxVersion
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Offsets.AutoCommit.Enable = false
	return c
}

// ---- records ----

var codecs = map[string]sarama.CompressionCodec{
	"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP,
	"snappy": sarama.CompressionSnappy, "lz4": sarama.CompressionLZ4,
	"zstd": sarama.CompressionZSTD,
}

func produce(w []string) error {
	c := config()
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Compression = codecs[w[3]]
	c.Producer.Partitioner = sarama.NewManualPartitioner
	c.Producer.Flush.Frequency = 20 * time.Millisecond
	c.Producer.Return.Successes = true
	c.Producer.Retry.Max = 50
	if w[7] == "idempotent" {
		c.Producer.Idempotent = true
		c.Net.MaxOpenRequests = 1
	}
	producer, err := sarama.NewAsyncProducer(seeds, c)
	if err != nil {
		return err
	}
	defer producer.Close()
	count := number(w[5]) - number(w[4])
	go func() {
		for n := number(w[4]); n < number(w[5]); n++ {
			producer.Input() <- &sarama.ProducerMessage{Topic: w[1],
				Partition: int32(n % number(w[2])), Key: sarama.StringEncoder(fmt.Sprint("k", n)),
				Value:     sarama.StringEncoder(fmt.Sprint(n) + strings.Repeat(".", 100)),
				Headers:   []sarama.RecordHeader{{Key: []byte("n"), Value: []byte(fmt.Sprint(n))}},
				Timestamp: time.UnixMilli(int64(number(w[6]) + n))}
			time.Sleep(time.Duration(number(w[8])) * time.Millisecond)
		}
	}()
	for range count {
		select {
		case <-producer.Successes():
		case failed := <-producer.Errors():
			err = failed
		}
	}
	return err
}

func show(m *sarama.ConsumerMessage) {
	fmt.Println("record", m.Partition, m.Offset, m.Timestamp.UnixMilli(), string(m.Key),
		string(m.Value), string(m.Headers[0].Key)+"="+string(m.Headers[0].Value))
}

// Reads partitions from where it is told, until it has shown `count` records.
func read(topic string, from map[int32]int64, count int) error {
	consumer, err := sarama.NewConsumer(seeds, config())
	if err != nil {
		return err
	}
	defer consumer.Close()
	messages := make(chan *sarama.ConsumerMessage)
	for partition, offset := range from {
		part, err := consumer.ConsumePartition(topic, partition, offset)
		if err != nil {
			return err
		}
		defer part.AsyncClose()
		go func() {
			for message := range part.Messages() {
				select {
				case messages <- message:
				case <-time.After(time.Second): // nobody reads any more
				}
			}
		}()
	}
	for range count {
		select {
		case message := <-messages:
			show(message)
		case <-time.After(30 * time.Second):
			return errors.New("no record comes")
		}
	}
	return nil
}

func consume(w []string) error {
	from := map[int32]int64{}
	for i := 0; i < number(w[2]); i++ {
		from[int32(i)] = sarama.OffsetOldest
	}
	return read(w[1], from, number(w[3]))
}

func seek(w []string) error {
	client, err := sarama.NewClient(seeds, config())
	if err != nil {
		return err
	}
	defer client.Close()
	offset, err := client.GetOffset(w[1], int32(number(w[2])), int64(number(w[3])))
	if err != nil {
		return err
	}
	return read(w[1], map[int32]int64{int32(number(w[2])): offset}, 1)
}

// ---- groups ----

// What a member has: claims come and go.
type handler struct {
	sync.Mutex
	mine []int32
}

func (h *handler) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (h *handler) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (h *handler) changed(partition int32, here bool) {
	h.Lock()
	defer h.Unlock()
	h.mine = slices.DeleteFunc(h.mine, func(n int32) bool { return n == partition })
	if here {
		h.mine = append(h.mine, partition)
	}
	slices.Sort(h.mine)
	fmt.Println("assigned", strings.Trim(fmt.Sprint(h.mine), "[]"))
}

func (h *handler) ConsumeClaim(s sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
	h.changed(c.Partition(), true)
	defer h.changed(c.Partition(), false)
	for {
		select {
		case message, more := <-c.Messages():
			if !more {
				return nil
			}
			show(message)
			s.MarkMessage(message, "")
			if len(c.Messages()) == 0 {
				s.Commit()
			}
		case <-s.Context().Done():
			return nil
		}
	}
}

func member(w []string) error {
	c := config()
	c.Consumer.Group.Session.Timeout = 6 * time.Second
	c.Consumer.Group.Heartbeat.Interval = 300 * time.Millisecond
	c.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{
		sarama.NewBalanceStrategyRange()}
	if w[3] == "cooperative" {
		c.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{
			sarama.NewBalanceStrategyCooperativeSticky()}
	}
	if w[4] != "-" {
		c.Consumer.Group.InstanceId = w[4]
	}
	group, err := sarama.NewConsumerGroup(seeds, w[1], c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		var err error
		for ctx.Err() == nil && err == nil {
			err = group.Consume(ctx, []string{w[2]}, &handler{})
		}
		done <- err
	}()
	for len(lines) == 0 {
		time.Sleep(20 * time.Millisecond)
	}
	cancel()
	return errors.Join(<-done, group.Close())
}

// ---- administration ----

func createTopic(w []string) error {
	return admin.CreateTopic(w[1], &sarama.TopicDetail{NumPartitions: int32(number(w[2])),
		ReplicationFactor: int16(number(w[3]))}, false)
}

func describeTopic(w []string) error {
	found, err := admin.DescribeTopics([]string{w[1]})
	if err == nil && found[0].Err == sarama.ErrNoError {
		fmt.Println("is", len(found[0].Partitions), len(found[0].Partitions[0].Replicas))
	}
	return err
}

func listTopics([]string) error {
	found, err := admin.ListTopics()
	for topic := range found {
		fmt.Println("is", topic)
	}
	return err
}

func setConfig(w []string) error {
	return admin.IncrementalAlterConfig(sarama.TopicResource, w[1],
		map[string]sarama.IncrementalAlterConfigsEntry{w[2]: {
			Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &w[3]}}, false)
}

func getConfig(w []string) error {
	found, err := admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: w[1]})
	for _, entry := range found {
		if entry.Name == w[2] {
			fmt.Println("is", entry.Value)
		}
	}
	return err
}

func addPartitions(w []string) error {
	return admin.CreatePartitions(w[1], int32(number(w[2])), nil, false)
}

func deleteRecords(w []string) error {
	return admin.DeleteRecords(w[1], map[int32]int64{int32(number(w[2])): int64(number(w[3]))})
}

func deleteTopic(w []string) error {
	return admin.DeleteTopic(w[1])
}

func listGroups([]string) error {
	found, err := admin.ListConsumerGroups()
	for group := range found {
		fmt.Println("is", group)
	}
	return err
}

func describeGroup(w []string) error {
	found, err := admin.DescribeConsumerGroups([]string{w[1]})
	if err == nil {
		fmt.Println("is", found[0].State, len(found[0].Members))
	}
	return err
}

func committed(w []string) error {
	found, err := admin.ListConsumerGroupOffsets(w[1], nil)
	if err != nil {
		return err
	}
	for partition, block := range found.Blocks[w[2]] {
		if block.Offset >= 0 {
			fmt.Println("is", partition, block.Offset)
		}
	}
	return nil
}

func setOffset(w []string) error {
	_, err := admin.AlterConsumerGroupOffsets(w[1], map[string]map[int32]sarama.OffsetAndMetadata{
		w[2]: {int32(number(w[3])): {Offset: int64(number(w[4])), LeaderEpoch: -1}}}, nil)
	return err
}

func deleteGroup(w []string) error {
	return admin.DeleteConsumerGroup(w[1])
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
	var err error
	if admin, err = sarama.NewClusterAdmin(seeds, config()); err != nil {
		panic(err)
	}
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
			fmt.Println("error", strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Println("ok")
		}
	}
}
