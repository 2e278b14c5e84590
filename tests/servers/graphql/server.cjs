// A server of graphql-ws whose subscription counts. It is told on its standard input to cut every connection
// off ("terminate"), and to send the ping of the protocol ("ping"); it prints what happens.
"use strict";

const readline = require("node:readline");
const { setTimeout: pause } = require("node:timers/promises");
const { buildSchema } = require("graphql");
const { useServer } = require("graphql-ws/use/ws");
const { WebSocketServer } = require("ws");

const schema = buildSchema(`
  type Query { ready: Boolean! }
  type Tick { n: Int!, symbol: String!, price: String! }
  type Subscription { ticks(symbol: String!): Tick! }
`);

let next = 0;

async function* ticks({ symbol }) {
  console.log(`subscribed to ${symbol}`);
  for (let n = next; ; n++) {
    next = Math.max(next, n + 1);
    yield { ticks: { n, symbol, price: (n / 100).toFixed(2) } };
    if (n % 10 == 9) await pause(1);
  }
}

const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
useServer(
  {
    schema,
    roots: { subscription: { ticks } },
    onConnect: ({ connectionParams }) => connectionParams?.token === "not a secret",
    onPong: () => console.log("pong of the protocol"),
  },
  server,
  500, // Milliseconds between the pings of WebSocket; who does not answer one before the next is cut off.
);
server.on("connection", (socket) => socket.once("pong", () => console.log("pong of WebSocket")));
server.on("listening", () => console.log(`port ${server.address().port}`));

readline.createInterface({ input: process.stdin }).on("line", (command) => {
  for (const client of server.clients) {
    if (command === "terminate") client.terminate();
    else client.send(JSON.stringify({ type: "ping" }));
  }
});
