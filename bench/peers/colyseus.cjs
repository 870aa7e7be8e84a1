// The peer on node with the packages `@colyseus/core` and `@colyseus/ws-transport`: its matchmaker's rooms, a broadcast for each message.
// Does I/O. Run: NODE_PATH=<node_modules> node colyseus.cjs PORT
const { Room, Server } = require("@colyseus/core");
const { WebSocketTransport } = require("@colyseus/ws-transport");

// The generator answers no pings between its runs: the first comes after a run's end. Nor has a room a state whose changes would be sent.
const hour = 3_600_000;

class Chat extends Room {
  maxClients = 4;
  patchRate = hour;
  onCreate() {
    this.onMessage("say", (_, text) => this.broadcast("message", text));
  }
}

const server = new Server({ transport: new WebSocketTransport({ pingInterval: hour }), greet: false });
server.define("chat", Chat).filterBy(["room"]);
server.listen(Number(process.argv[2]), "127.0.0.1");
