// The peer on bun: its WebSocket server (uWebSockets inside) with its own publish and subscribe; a path is a room.
// `/raw/<room>` hands each message on as it came, which is the least that such a server can do;
// `/json/<room>?name=<name>` does a chat server's work: it parses {"type":"say","text"} and tells who said it.
// Does I/O. Run: bun bun.ts PORT
import type { ServerWebSocket } from "bun";

type Member = { room: string; name: string; json: boolean };
const counts = new Map<string, number>();

const server = Bun.serve<Member>({
  hostname: "127.0.0.1",
  port: Number(process.argv[2]),
  fetch(request, server) {
    const url = new URL(request.url);
    const data = {
      room: url.pathname,
      name: url.searchParams.get("name") ?? "",
      json: url.pathname.startsWith("/json/"),
    };
    if (server.upgrade(request, { data })) return undefined;
    return new Response("WebSocket only", { status: 426 });
  },
  websocket: {
    perMessageDeflate: false,
    idleTimeout: 960,
    open(socket: ServerWebSocket<Member>) {
      socket.subscribe(socket.data.room);
    },
    message(socket: ServerWebSocket<Member>, message: string) {
      const { room, name, json } = socket.data;
      if (!json) {
        server.publish(room, message);
        return;
      }
      const said = JSON.parse(message);
      if (said.type !== "say" || typeof said.text !== "string") return;
      const seq = (counts.get(room) ?? 0) + 1;
      counts.set(room, seq);
      server.publish(room, JSON.stringify({ type: "message", from: name, text: said.text, seq, at: Date.now() }));
    },
  },
});
