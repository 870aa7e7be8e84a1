// An HTTP proxy that serves a server under a path, and takes the path away or leaves it. I/O.

import http from 'node:http';

export class PrefixProxy {
  /** `takesAway`: as nginx with a rewrite, which then tells the path in X-Forwarded-Prefix. */
  static async start(port, prefix, takesAway) {
    const options = (request) => ({
      host: '127.0.0.1',
      port,
      method: request.method,
      path: takesAway ? request.url.slice(prefix.length) || '/' : request.url,
      headers: { ...request.headers, ...(takesAway && { 'x-forwarded-prefix': prefix }) },
    });
    const isMeant = ({ url }) => url === prefix || url.startsWith(`${prefix}/`);
    const server = http.createServer((request, response) => {
      if (!isMeant(request)) return response.writeHead(502).end('not this server');
      const passed = http.request(options(request), (answer) => {
        response.writeHead(answer.statusCode, answer.headers);
        answer.pipe(response);
      });
      passed.on('error', () => response.destroy());
      request.pipe(passed);
    });
    server.on('upgrade', (request, socket, early) => {
      if (!isMeant(request)) return socket.destroy();
      const passed = http.request(options(request)).end();
      passed.on('error', () => socket.destroy());
      passed.on('response', () => socket.destroy());
      passed.on('upgrade', (answer, inner, first) => {
        const headers = Object.entries(answer.headers).map(([name, value]) => `${name}: ${value}\r\n`);
        socket.write(`HTTP/1.1 101 Switching Protocols\r\n${headers.join('')}\r\n`);
        // What came in one piece with the heads is part of the connection too.
        socket.write(first);
        inner.write(early);
        for (const side of [socket, inner]) side.on('error', () => side.destroy());
        inner.pipe(socket).pipe(inner);
      });
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    return Object.assign(new PrefixProxy(), { server, url: `http://127.0.0.1:${server.address().port}${prefix}` });
  }

  async stop() {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
