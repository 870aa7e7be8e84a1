// The peer on node with the package `ws`: each message is handed on as it came to all of its room; the path is the room.
// Does I/O. Run: NODE_PATH=<node_modules> node ws.cjs PORT
const { WebSocketServer } = require("ws");

const rooms = new Map();
const server = new WebSocketServer({ host: "127.0.0.1", port: Number(process.argv[2]), perMessageDeflate: false });
server.on("connection", (socket, request) => {
  const path = request.url;
  const members = rooms.get(path) ?? new Set();
  rooms.set(path, members.add(socket));
  socket.on("message", (message) => {
    for (const member of members) member.send(message, { binary: false });
  });
  socket.on("close", () => {
    members.delete(socket);
    if (members.size === 0) rooms.delete(path);
  });
});
