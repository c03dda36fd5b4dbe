// The peer: BullMQ. `add` puts jobs on the queue and prints how many seconds it took; `work` runs one worker until SIGTERM.
//
//   node _bullmq.mjs add  --port 6400 --count 20000 --text xxx
//   node _bullmq.mjs work --port 6400 --concurrency 100 [--rate 10] [--sink http://127.0.0.1:8090 | --notes FOLDER]
//
// Without --sink a job does nothing, but note its time with --notes (bench/_meter_notes.py reads that). With --sink each
// job is one push of one row; fetch keeps its connections alive. A job that is done keeps its hash, as by default. A
// worker that is ready says so by INCR bench:ready.
import { openSync, writeSync } from "node:fs";
import { parseArgs } from "node:util";
import { Queue, Worker } from "bullmq";
import { Redis } from "ioredis";

const QUEUE = "bench";
const CHUNK = 1000;

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    port: { type: "string" },
    count: { type: "string", default: "0" },
    text: { type: "string", default: "" },
    concurrency: { type: "string", default: "100" },
    rate: { type: "string" },
    sink: { type: "string" },
    notes: { type: "string" },
  },
});
const connection = { host: "127.0.0.1", port: Number(values.port), maxRetriesPerRequest: null };

async function add(count, text) {
  const queue = new Queue(QUEUE, { connection });
  await queue.waitUntilReady();
  const began = performance.now();
  for (let start = 0; start < count; start += CHUNK) {
    const jobs = [];
    for (let index = start; index < Math.min(count, start + CHUNK); index++) {
      jobs.push({ name: "send", data: { to: `39333${String(index).padStart(7, "0")}`, text } });
    }
    await queue.addBulk(jobs);
  }
  console.log((performance.now() - began) / 1000);
  await queue.close();
}

async function post(job) {
  const { to, text } = job.data;
  const row = { number: to, reference_number: job.id, message: text };
  const body = { token: "bench", application: "1", priority: "0", globalmessage: "", data: [row] };
  const response = await fetch(`${values.sink}/api/v2/push`, { method: "POST", body: JSON.stringify(body) });
  const answer = await response.json();
  if (answer.status !== 100) throw new Error(`the sink says ${answer.status}`);
}

function noting(folder) {
  const file = openSync(`${folder}/${process.pid}`, "a");
  const written = new DataView(new ArrayBuffer(8));
  return async () => {
    const nowUs = BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000));
    written.setBigInt64(0, nowUs, true);
    writeSync(file, written);
  };
}

async function work() {
  const limiter = values.rate ? { max: Number(values.rate), duration: 1000 } : undefined;
  const run = values.sink ? post : values.notes ? noting(values.notes) : async () => {};
  const worker = new Worker(QUEUE, run, {
    connection,
    concurrency: Number(values.concurrency),
    ...(limiter && { limiter }),
  });
  worker.on("error", (error) => console.error(error));
  worker.on("failed", (_, error) => console.error(error));
  process.on("SIGTERM", async () => {
    await worker.close();
    process.exit(0);
  });
  await worker.waitUntilReady();
  const client = new Redis(connection);
  await client.incr("bench:ready");
  await client.quit();
}

await (positionals[0] === "add" ? add(Number(values.count), values.text) : work());
