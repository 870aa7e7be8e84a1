// The server under test: real chatd processes with a real Redis, or the double where only that can provoke the case. I/O.
//
// CHATD_PAGES_SERVER=double runs what it can against the double and skips what needs real processes; without it, a missing
// binary is a failure. CHATD_BIN: the binary, target/debug/chatd by default.

import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { until } from './browser.js';
import { Double } from './double.js';
import { Gate } from './gate.js';

const BINARY = path.resolve(process.env.CHATD_BIN ?? fileURLToPath(new URL('../../../../target/debug/chatd', import.meta.url)));
const START_MS = 30_000;
export const onlyDouble = process.env.CHATD_PAGES_SERVER === 'double';
/** For `test(name, {skip: needsChatd}, ...)`. */
export const needsChatd = onlyDouble && 'CHATD_PAGES_SERVER=double: real processes are left out';

/** `double: true`: only the double will do. `pods`, `tls`, `flags`: of real processes. */
export async function startCluster({ double = false, pods = 1, redis = pods > 1, tls = false, flags = [] } = {}) {
  if (double || onlyDouble) return startDouble();
  if (!existsSync(BINARY)) throw new Error(`${BINARY} is missing: cargo build -p chatd, or CHATD_PAGES_SERVER=double`);
  const cluster = new Cluster();
  try {
    await cluster.start({ pods, redis, tls, flags });
  } catch (error) {
    await cluster.stop();
    throw error;
  }
  return cluster;
}

async function startDouble() {
  const double = await new Double().start();
  const gates = [];
  return {
    double,
    pods: [{ url: double.url }],
    createRoom: async () => double.createRoom(),
    gate: async () => keep(gates, await Gate.start([{ host: '127.0.0.1', port: double.port }])),
    stop: async () => {
      for (const gate of gates) await gate.stop();
      await double.stop();
    },
  };
}

function keep(list, item) {
  list.push(item);
  return item;
}

class Cluster {
  pods = [];
  redis = null;
  #gates = [];
  #folder;

  async start({ pods, redis, tls, flags }) {
    this.#folder = await mkdtemp(path.join(tmpdir(), 'chatd-cluster-'));
    const keyFile = path.join(this.#folder, 'token-key');
    await writeFile(keyFile, `${randomBytes(32).toString('hex')}\n`, { mode: 0o600 });
    if (tls) flags = [...flags, ...selfSigned(this.#folder)];
    if (redis) this.redis = await new Redis(this.#folder, await freePort()).start();
    for (let index = 0; index < pods; index += 1) {
      const [tcp, web, peer, admin] = await freePorts(4);
      const args = [
        '--tcp-listen', `127.0.0.1:${tcp}`, '--http-listen', `127.0.0.1:${web}`, '--peer-listen', `127.0.0.1:${peer}`,
        '--admin-listen', `127.0.0.1:${admin}`, '--pod-id', `chat-${index}`, '--token-key-file', keyFile,
        ...(this.redis ? ['--redis-url', `redis://127.0.0.1:${this.redis.port}`] : []), ...flags,
      ];
      this.pods.push(new Pod({ tcp, web, admin, args, scheme: tls ? 'https' : 'http' }));
    }
    await Promise.all(this.pods.map((pod) => pod.start()));
  }

  /** Made at this pod, so owned by it. */
  async createRoom(pod = 0) {
    const response = await fetch(`${this.pods[pod].url}/api/rooms`, { method: 'POST' });
    if (response.status !== 201) throw new Error(`POST /api/rooms: ${response.status} ${await response.text()}`);
    return (await response.json()).room;
  }

  /** One address for a page, as a balancer gives it: `prefer` first, the next one where that is gone. */
  async gate(prefer = 0) {
    return keep(this.#gates, await Gate.start(this.pods.map(({ web }) => ({ host: '127.0.0.1', port: web })), prefer));
  }

  async stop() {
    await Promise.all(this.#gates.map((gate) => gate.stop()));
    await Promise.all(this.pods.map((pod) => pod.kill()));
    await this.redis?.kill();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** The flags for a certificate that nobody has signed but its own key. */
function selfSigned(folder) {
  const [cert, key] = ['tls.crt', 'tls.key'].map((name) => path.join(folder, name));
  const { status, stderr } = spawnSync('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
    '-subj', '/CN=chatd', '-addext', 'subjectAltName=IP:127.0.0.1', '-out', cert, '-keyout', key,
  ]);
  if (status !== 0) throw new Error(`openssl: ${stderr}`);
  return ['--tls-cert-file', cert, '--tls-key-file', key];
}

class Child {
  output = '';
  #process = null;

  run(command, args) {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        this.output = (this.output + text).slice(-20_000);
      });
    }
    this.ended = new Promise((resolve) => child.once('close', resolve).once('error', resolve));
    this.#process = child;
  }

  get alive() {
    return this.#process !== null && this.#process.exitCode === null && this.#process.signalCode === null && this.#process.pid !== undefined;
  }

  signal(name) {
    if (this.alive) this.#process.kill(name);
  }

  async kill() {
    if (!this.#process) return;
    this.signal('SIGKILL');
    await this.ended;
  }
}

class Pod extends Child {
  constructor({ tcp, web, admin, args, scheme }) {
    super();
    Object.assign(this, { tcp, web, admin, args, url: `${scheme}://127.0.0.1:${web}` });
  }

  async start() {
    this.run(BINARY, this.args);
    const ready = async () => {
      if (!this.alive) throw new Error(`chatd ended: ${this.output}`);
      return (await fetch(`http://127.0.0.1:${this.admin}/readyz`).catch(() => null))?.status === 200;
    };
    await until(ready, () => `chatd to be ready: ${this.output}`, START_MS);
    return this;
  }
}

class Redis extends Child {
  constructor(folder, port) {
    super();
    Object.assign(this, { folder, port });
  }

  async start() {
    this.run('redis-server', ['--port', String(this.port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', this.folder]);
    await until(() => answers(this.port), () => `redis-server: ${this.output}`, START_MS);
    return this;
  }
}

function answers(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write('PING\r\n'));
    socket.once('data', () => (socket.destroy(), resolve(true)));
    socket.once('error', () => resolve(false));
  });
}

// Outside of the range that the system gives to outgoing connections: a port of that range may be taken before its server starts.
const FIRST_PORT = 12_000;
const PORTS = 20_000;
let tried = 0;

/** A port that nothing listens on; another one each time. */
export async function freePort() {
  // Processes that run at the same time begin far from each other.
  const start = process.pid * 7919;
  for (let left = PORTS; left > 0; left -= 1) {
    const port = FIRST_PORT + (start + tried++) % PORTS;
    if (await isFree(port)) return port;
  }
  throw new Error('no port is free');
}

function isFree(port) {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

async function freePorts(count) {
  const ports = [];
  while (ports.length < count) ports.push(await freePort());
  return ports;
}
