"""A consumer of events, as the document that ringfill grew out of describes one: RabbitMQ -> JSON -> Redis hashes.

    seed-consumer.py AMQP_URL QUEUE REDIS_PORT '{"test": {"users": "uid"}}'

The queue is declared as that document does, durable and with nothing else; one message at a time, acked after the write;
apostrophes in the body become quotes before it is parsed. Rows lie under db_table_id, a field a column; NULL has no field.
"""

import json
import sys

import pika
import redis

amqp_url, queue, redis_port, key_columns = sys.argv[1:5]
key_columns = json.loads(key_columns)
store = redis.Redis(host="127.0.0.1", port=int(redis_port), db=0)


def key_of(event, row):
    return "%s_%s_%s" % (event["db"], event["table"], row.get(key_columns[event["db"]][event["table"]]))


def apply(body):
    event = json.loads(str(body, encoding="utf-8").replace("'", '"'))
    if event.get("table") not in key_columns.get(event.get("db"), {}):
        return
    # Before the type is looked at, as there.
    key = key_of(event, event.get("after"))
    row = event.get("after")
    if event["eventType"] == "DELETE":
        store.delete(key)
    elif event["eventType"] in ("INSERT", "UPDATE"):
        before = event.get("before") or row
        if key_of(event, before) != key:
            store.delete(key_of(event, before))
        store.delete(key)
        store.hset(key, mapping={name: value for name, value in row.items() if value is not None})


def on_message(channel, method, properties, body):
    apply(body)
    channel.basic_ack(delivery_tag=method.delivery_tag)


channel = pika.BlockingConnection(pika.URLParameters(amqp_url)).channel()
channel.queue_declare(queue=queue, durable=True)
channel.basic_qos(prefetch_count=1)
channel.basic_consume(queue, on_message)
print("consuming", flush=True)
channel.start_consuming()
