// The peer on node with the package `socket.io`, over WebSockets alone: its own rooms, and an event for each message.
// Does I/O. Run: NODE_PATH=<node_modules> node socket_io.cjs PORT
const { createServer } = require("node:http");
const { Server } = require("socket.io");

const server = createServer();
// The generator answers no pings of this protocol: the first comes after a run's end.
const hour = 3_600_000;
const io = new Server(server, { transports: ["websocket"], perMessageDeflate: false, pingInterval: hour });
io.on("connection", (socket) => {
  const { room } = socket.handshake.query;
  socket.join(room);
  socket.on("say", (text) => io.to(room).emit("message", text));
  socket.on("say volatile", (text) => io.to(room).volatile.emit("message", text));
  socket.emit("joined");
});
server.listen(Number(process.argv[2]), "127.0.0.1");
