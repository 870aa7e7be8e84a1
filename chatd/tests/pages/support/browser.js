// Headless Chromium, and the people who use the pages in it. I/O.

import { mkdtemp, mkdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
export const SHOTS = path.resolve(process.env.CHATD_PAGES_SHOTS ?? fileURLToPath(new URL('../../../../target/pages/', import.meta.url)));

export async function launch(options = {}) {
  const home = await mkdtemp(path.join(tmpdir(), 'chatd-pages-'));
  const browser = await chromium.launch({ executablePath, headless: true, args: FLAGS, env: { ...process.env, HOME: home }, ...options });
  browser.on('disconnected', () => rm(home, { recursive: true, force: true, maxRetries: 5 }).catch(() => {}));
  return browser;
}

/** One person: a browser context of its own, whose page must never raise an error or break the content policy. */
export class Person {
  problems = [];

  static async open(browser, options = {}) {
    const person = new Person();
    person.context = await browser.newContext({ locale: 'en-GB', timezoneId: 'UTC', ...options });
    person.context.setDefaultTimeout(20_000);
    person.page = await person.context.newPage();
    person.watch(person.page);
    return person;
  }

  watch(page) {
    page.on('pageerror', (error) => this.problems.push(String(error)));
    page.on('console', (message) => {
      // Chromium reports a failed fetch or socket itself; the pages explain those, and tests look at how.
      const network = /Failed to load resource|WebSocket connection to/.test(message.text());
      if (message.type() === 'error' && !network) this.problems.push(message.text());
    });
  }

  async join(url, room, name) {
    await this.page.goto(`${url}/room?${new URLSearchParams(name ? { room, name } : { room })}`);
    if (name) await this.seated();
  }

  async seated() {
    await this.status('connected');
  }

  async status(status, timeout = 30_000) {
    await this.page.waitForSelector(`#status[data-status="${status}"]`, { timeout });
  }

  async say(text) {
    await this.page.fill('#draft', text);
    await this.page.press('#draft', 'Enter');
  }

  /** What the room has said, as `name: text`, in the order on the page. */
  async heard() {
    return this.page.$$eval('.message.delivered', (rows) => rows.map((row) => {
      const [name, text] = row.querySelectorAll('bdi');
      return `${name.textContent}: ${text.textContent}`;
    }));
  }

  async hears(line, timeout = 20_000) {
    await this.until(async () => (await this.heard()).includes(line), `to hear “${line}”`, timeout);
  }

  async alert() {
    const alerts = await this.page.$$eval('[role="alert"]:not(#stopped *)', (all) => all.map(({ textContent }) => textContent.trim()));
    return alerts.join('');
  }

  async until(check, what, timeout = 20_000) {
    await until(check, () => `${what}; on the page: ${JSON.stringify(this.page.url())}`, timeout);
  }

  async shot(name) {
    await mkdir(SHOTS, { recursive: true });
    await this.page.screenshot({ path: path.join(SHOTS, `${name}.png`), animations: 'disabled', caret: 'hide' });
  }

  async close() {
    await this.context.close();
    if (this.problems.length > 0) throw new Error(`the page reported: ${this.problems.join(' | ')}`);
  }
}

/** Asks until it is so, or the deadline has passed. */
export async function until(check, what, timeout = 20_000) {
  const deadline = Date.now() + timeout;
  for (;;) {
    if (await check()) return;
    if (Date.now() > deadline) throw new Error(`waited ${timeout} ms for ${typeof what === 'function' ? what() : what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
