// A player who speaks lines over raw TCP, as with nc. I/O.

import net from 'node:net';
import { until } from './browser.js';

export class LinePlayer {
  lines = [];

  static async connect(port) {
    const player = new LinePlayer();
    player.socket = net.connect(port, '127.0.0.1');
    player.socket.setEncoding('utf8');
    let rest = '';
    player.socket.on('data', (text) => {
      const parts = (rest + text).split('\n');
      rest = parts.pop();
      player.lines.push(...parts);
    });
    player.socket.on('error', () => {});
    await new Promise((resolve) => player.socket.once('connect', resolve));
    return player;
  }

  write(line) {
    this.socket.write(`${line}\n`);
  }

  async reads(start, timeout = 20_000) {
    await until(() => this.lines.some((line) => line.startsWith(start)), () => `a line “${start}…”; came: ${this.lines.join(' | ')}`, timeout);
    return this.lines.find((line) => line.startsWith(start));
  }

  /** What was said, as the pages' `heard` gives it. */
  heard() {
    return this.lines.filter((line) => line.startsWith('MSG ')).map((line) => line.replace(/^MSG (\S+) /, '$1: '));
  }

  close() {
    this.socket.destroy();
  }
}
