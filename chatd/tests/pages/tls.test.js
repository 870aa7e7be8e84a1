// The pages over https and wss, with a certificate that chatd itself serves.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Person, launch } from './support/browser.js';
import { needsChatd, startCluster } from './support/cluster.js';

describe('TLS', { skip: needsChatd }, () => {
  let browser;
  let cluster;
  let url;
  before(async () => {
    browser = await launch();
    cluster = await startCluster({ tls: true });
    url = cluster.pods[0].url;
  });
  after(async () => {
    await browser?.close();
    await cluster?.stop();
  });

  test('two people meet and talk by wss, and one comes back', async () => {
    assert.match(url, /^https:/);
    const ana = await Person.open(browser, { ignoreHTTPSErrors: true });
    const sockets = [];
    ana.page.on('websocket', (socket) => sockets.push(socket.url()));
    await ana.page.goto(url);
    await ana.page.fill('#name', 'ana');
    await ana.page.click('#create');
    await ana.seated();
    const room = new URL(ana.page.url()).searchParams.get('room');
    assert.deepEqual(sockets, [`${url.replace('https:', 'wss:')}/ws`]);

    const bob = await Person.open(browser, { ignoreHTTPSErrors: true });
    await bob.join(url, room, 'bob');
    await ana.say('is this private?');
    await bob.say('x'.repeat(4000));
    for (const person of [ana, bob]) {
      await person.hears('ana: is this private?');
      await person.hears(`bob: ${'x'.repeat(4000)}`);
    }
    await bob.page.reload();
    await bob.seated();
    await bob.say('still here');
    await ana.hears('bob: still here');
    for (const person of [ana, bob]) await person.close();
  });

  test('who types http is told, and who does not trust the certificate sees no page', async () => {
    const person = await Person.open(browser);
    const response = await person.page.goto(url.replace('https:', 'http:'));
    assert.equal(response.status(), 400);
    assert.match(await response.text(), /use https:\/\//);
    await assert.rejects(person.page.goto(url), /ERR_CERT_AUTHORITY_INVALID/);
    await person.close();
  });
});
