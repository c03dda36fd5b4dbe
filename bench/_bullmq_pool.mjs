// The peer of many numbers: BullMQ with a queue, a worker and a limiter for each, all in one process.
//
//   node _bullmq_pool.mjs add  --port 6400 --queues 1000 --each 100
//   node _bullmq_pool.mjs work --port 6400 --queues 1000 --from 0 --to 500 --rate 10
//
// A job does nothing but count itself; each process writes its count to the server once a second, and
// says that it is ready by INCR bench:ready. Each worker has a blocking connection: BullMQ has it no other way.
import { parseArgs } from "node:util";
import { Queue, Worker } from "bullmq";
import { Redis } from "ioredis";

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    port: { type: "string" },
    queues: { type: "string", default: "0" },
    each: { type: "string", default: "0" },
    from: { type: "string", default: "0" },
    to: { type: "string", default: "0" },
    rate: { type: "string", default: "10" },
  },
});
const address = { host: "127.0.0.1", port: Number(values.port), maxRetriesPerRequest: null };

async function add() {
  const connection = new Redis(address);
  for (let number = 0; number < Number(values.queues); number++) {
    const queue = new Queue(`n${number}`, { connection });
    const jobs = [];
    for (let index = 0; index < Number(values.each); index++) {
      jobs.push({ name: "send", data: { to: `39333${String(index).padStart(7, "0")}`, text: "x".repeat(120) } });
    }
    await queue.addBulk(jobs);
  }
  connection.disconnect();
}

async function work() {
  const connection = new Redis(address);
  connection.setMaxListeners(0);
  let ran = 0;
  const run = async () => {
    ran++;
  };
  const workers = [];
  for (let number = Number(values.from); number < Number(values.to); number++) {
    const limiter = { max: Number(values.rate), duration: 1000 };
    const worker = new Worker(`n${number}`, run, { connection, concurrency: 10, limiter });
    worker.on("error", (error) => console.error(error));
    workers.push(worker.waitUntilReady());
  }
  await Promise.all(workers);
  setInterval(() => connection.set(`bench:ran:${process.pid}`, ran), 1000);
  process.on("SIGTERM", () => process.exit(0));
  await connection.incr("bench:ready");
}

await (positionals[0] === "add" ? add() : work());
