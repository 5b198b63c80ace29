// Runs the tasks of the core as wasm, in V8 as Envoy has it: all of it compiled by TurboFan before it runs.
//
//   node --no-liftoff --no-wasm-lazy-compilation benches/micro/v8.mjs MODULE [NAME]
//
// Prints a line of JSON for each whose name has NAME in it: nanoseconds of processor time that a run takes, the
// median of samples.

import fs from "node:fs";

const SAMPLES = 25;
const SAMPLE_NS = 10e6;

const [file, wanted = ""] = process.argv.slice(2);
const { instance } = await WebAssembly.instantiate(fs.readFileSync(file), {});
const { memory, describe, run } = instance.exports;

function text(pointer) {
  const bytes = new Uint8Array(memory.buffer, pointer);
  return new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)));
}

function nanoseconds(task, times) {
  const began = process.cpuUsage();
  run(task, times);
  const { user, system } = process.cpuUsage(began);
  return (user + system) * 1000;
}

JSON.parse(text(describe())).forEach((task, index) => {
  const name = task.name.join("/");
  if (!name.includes(wanted)) return;
  let times = 1;
  for (let spent; (spent = nanoseconds(index, times)) < SAMPLE_NS; ) {
    times = Math.ceil(times * Math.min(10, (1.2 * SAMPLE_NS) / Math.max(spent, 1)));
  }
  const samples = Array.from({ length: SAMPLES }, () => nanoseconds(index, times) / times);
  const ns = samples.sort((a, b) => a - b)[SAMPLES >> 1];
  console.log(JSON.stringify({ ...task, name, ns }));
});
