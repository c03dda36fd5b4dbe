// The peer: BullMQ with priorities and a limiter, in front of a job that takes 200 ms.
//
//   node _order_bullmq.mjs --port 6400 --waiting 2000 --rate 10 --at 0.7,1.9,…
//
// Puts so many bulk jobs on the queue, starts one worker, and adds an urgent job at each of these seconds. Prints, as
// JSON, how many seconds each of them waited until its job began.
import { parseArgs } from "node:util";
import { Queue, Worker } from "bullmq";

const { values } = parseArgs({
  options: { port: { type: "string" }, waiting: { type: "string" }, rate: { type: "string" }, at: { type: "string" } },
});
const connection = { host: "127.0.0.1", port: Number(values.port), maxRetriesPerRequest: null };
const sleep = (seconds) => new Promise((done) => setTimeout(done, Math.max(0, seconds * 1000)));
const at = values.at.split(",").map(Number);
const queue = new Queue("order", { connection });
const text = "x".repeat(120);
for (let start = 0; start < Number(values.waiting); start += 1000) {
  const rows = Array.from({ length: Math.min(1000, Number(values.waiting) - start) }, (_, i) => ({
    name: "send", data: { to: `39333${String(start + i).padStart(7, "0")}`, text }, opts: { priority: 9 },
  }));
  await queue.addBulk(rows);
}
const waits = [];
const worker = new Worker("order", async (job) => {
  if (job.data.addedMs) waits.push((performance.now() - job.data.addedMs) / 1000);
  await sleep(0.2);
}, { connection, concurrency: 100, limiter: { max: Number(values.rate), duration: 1000 } });
await worker.waitUntilReady();
const began = performance.now() + 3000;
for (const second of at) {
  await sleep(second - (performance.now() - began) / 1000);
  await queue.add("send", { to: "393339999999", text, addedMs: performance.now() }, { priority: 1 });
}
for (let turn = 0; turn < 100 && waits.length < at.length; turn++) await sleep(0.1);
console.log(JSON.stringify(waits));
await worker.close();
await queue.close();
process.exit(0);
