// One person with a real Chromium: node page.mjs URL ROOM NAME. Takes a JSON object a line, {"say"} or {"hear","ms"}, and answers each
// with a line `ok` or `error: ...`; ends with its input. I/O.

import readline from 'node:readline';
import { Person, launch } from '../../../chatd/tests/pages/support/browser.js';

const [url, room, name] = process.argv.slice(2);
const browser = await launch();
const person = await Person.open(browser);
try {
  await person.join(url, room, name);
  console.log('ok seated');
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { say, hear, ms } = JSON.parse(line);
    try {
      if (say) {
        await person.seated();
        await person.say(say);
      } else {
        await person.hears(hear, ms);
      }
      console.log('ok');
    } catch (error) {
      console.log(`error: ${error.message.replaceAll('\n', ' ')}`);
    }
  }
} finally {
  await browser.close();
}
