// node_client.js PORT PATH: the ws package and JSON.parse. Prints JSON as the other clients do.
const WebSocket = require("ws");

const [port, path] = process.argv.slice(2);
const ws = new WebSocket(`ws://127.0.0.1:${port}${path}`, { perMessageDeflate: false, maxPayload: 0 });
let events = 0, wall = 0n, cpu = null;
ws.on("open", () => {
  wall = process.hrtime.bigint();
  cpu = process.cpuUsage();
});
ws.on("message", (data) => {
  JSON.parse(data);
  events += 1;
});
ws.on("close", () => {
  const seconds = Number(process.hrtime.bigint() - wall) / 1e9;
  const used = process.cpuUsage(cpu);
  console.log(JSON.stringify({ events, seconds, cpu_seconds: (used.user + used.system) / 1e6 }));
});
