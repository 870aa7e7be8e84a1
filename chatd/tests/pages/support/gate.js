// A TCP gate in front of one or more servers: one address for a page, which a test can cut, hang and open again. I/O.

import net from 'node:net';

export class Gate {
  #targets;
  #turn = 0;
  #mode = 'open';
  #pairs = new Set();
  #server;

  /** `targets`: `{host, port}`, tried in order from `prefer`; one that refuses is passed over, as a balancer would. */
  static async start(targets, prefer = 0) {
    const gate = new Gate();
    gate.#targets = targets;
    gate.#turn = prefer;
    gate.#server = net.createServer((client) => gate.#accept(client));
    await new Promise((resolve) => gate.#server.listen(0, '127.0.0.1', resolve));
    gate.port = gate.#server.address().port;
    gate.url = `http://127.0.0.1:${gate.port}`;
    return gate;
  }

  get connections() {
    return this.#pairs.size;
  }

  prefer(index) {
    this.#turn = index;
  }

  /** Ends what is connected and every new connection, as a network that is gone. */
  cut() {
    this.#mode = 'cut';
    for (const pair of this.#pairs) pair.end();
  }

  /** Keeps connections, passes nothing: what is said into it is lost with them. */
  hang() {
    this.#mode = 'hang';
    for (const pair of this.#pairs) pair.hang();
  }

  /** What a client says arrives, what is said to it is lost. */
  deafen() {
    for (const pair of this.#pairs) pair.deafen();
  }

  /** New connections pass again; hung ones stay hung. */
  open() {
    this.#mode = 'open';
  }

  /** Ends what is connected; new connections go by the mode. */
  drop() {
    for (const pair of this.#pairs) pair.end();
  }

  async stop() {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #accept(client) {
    client.on('error', () => client.destroy());
    if (this.#mode === 'cut') return client.destroy();
    if (this.#mode === 'hang') return this.#keep(client, null);
    for (let tried = 0; tried < this.#targets.length; tried += 1) {
      const server = await connect(this.#targets[(this.#turn + tried) % this.#targets.length]);
      if (server) return this.#keep(client, server);
    }
    client.destroy();
  }

  #keep(client, server) {
    const sockets = server ? [client, server] : [client];
    const pair = {
      end: () => {
        this.#pairs.delete(pair);
        for (const socket of sockets) socket.destroy();
      },
      hang: () => {
        client.unpipe();
        server?.unpipe();
        for (const socket of sockets) socket.resume();
      },
      deafen: () => {
        server?.unpipe();
        server?.resume();
      },
    };
    for (const socket of sockets) socket.on('error', pair.end).on('close', pair.end);
    this.#pairs.add(pair);
    if (!server) return client.resume();
    client.pipe(server);
    server.pipe(client);
  }
}

function connect({ host, port }) {
  return new Promise((resolve) => {
    const socket = net.connect(port, host);
    socket.once('connect', () => resolve(socket));
    socket.once('error', () => resolve(null));
  });
}
