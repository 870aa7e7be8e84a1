// How the pages reach a browser: how much of them and when, and under a path of a host that serves other things too.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Person, launch } from './support/browser.js';
import { needsChatd, startCluster } from './support/cluster.js';
import { PrefixProxy } from './support/prefix-proxy.js';

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

const loaded = (page) => page.evaluate(() => performance.getEntriesByType('resource')
  .filter(({ name }) => !name.includes('/api/'))
  .map(({ name, transferSize, encodedBodySize, decodedBodySize }) => ({ path: new URL(name).pathname, transferSize, encodedBodySize, decodedBodySize })));

test('a page is there in two round trips, small, and the next time in one', { skip: needsChatd }, async (t) => {
  const cluster = await startCluster();
  t.after(() => cluster.stop());
  const { url } = cluster.pods[0];
  const room = await cluster.createRoom();
  for (const path of ['/', `/room?room=${room}`]) {
    const person = await Person.open(browser);
    const ready = () => person.page.waitForFunction(() => document.activeElement.id === 'name');
    const html = await (await person.page.goto(url + path)).text();
    await ready();
    const first = await loaded(person.page);
    assert.ok(first.length >= 5, JSON.stringify(first));
    for (const { path: asset, encodedBodySize, decodedBodySize } of first) {
      assert.ok(html.includes(`"${asset}"`), `${asset} is not named by the page, so it takes a round trip more`);
      assert.ok(encodedBodySize < decodedBodySize, `${asset} is not compressed`);
    }
    const bytes = first.reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0);
    t.diagnostic(`${path.split('?')[0]}: ${first.length} assets, ${bytes} bytes`);
    // Well below what TCP sends in two round trips at its beginning: 10 and 20 segments of 1,460 bytes (RFC 6928).
    assert.ok(bytes < 36_000, `${bytes} bytes`);
    await person.page.goto('about:blank');
    await person.page.goto(url + path);
    await ready();
    for (const { path: asset, transferSize } of await loaded(person.page)) assert.equal(transferSize, 0, `${asset} is fetched again`);
    await person.close();
  }
});

for (const takesAway of [true, false]) {
  test(`under a path that the proxy ${takesAway ? 'strips' : 'keeps'} everything works`, { skip: needsChatd }, async (t) => {
    const flags = takesAway ? ['--trusted-proxies', '127.0.0.1/32'] : ['--web-base-path', '/team/chat'];
    const cluster = await startCluster({ flags });
    t.after(() => cluster.stop());
    const proxy = await PrefixProxy.start(cluster.pods[0].web, '/team/chat', takesAway);
    t.after(() => proxy.stop());
    const ana = await Person.open(browser);
    const failed = [];
    ana.page.on('response', (response) => response.status() >= 400 && failed.push(response.url()));
    await ana.page.goto(`${proxy.url}/`);
    await ana.page.fill('#name', 'ana');
    await ana.page.click('#create');
    await ana.seated();
    const link = await ana.page.inputValue('#invite-link');
    assert.match(link, new RegExp(`^${proxy.url}/room\\?room=[a-z0-9]{8}$`));
    assert.equal(ana.page.url(), link);
    const bob = await Person.open(browser);
    await bob.page.goto(link.replace('/room?room=', '/room/'));
    await bob.page.waitForSelector('#ask-present .player-name:text("ana")');
    await bob.page.fill('#name', 'bob');
    await bob.page.press('#name', 'Enter');
    await bob.seated();
    await bob.say('hi');
    await ana.hears('bob: hi');
    await ana.page.reload();
    await ana.seated();
    await ana.page.click('#leave');
    await ana.page.waitForURL(`${proxy.url}/`);
    await bob.page.goto(`${proxy.url}/nothing`);
    await bob.page.click('text=To the lobby');
    await bob.page.waitForURL(`${proxy.url}/`);
    assert.deepEqual(failed, []);
    await ana.close();
    await bob.close();
  });
}
