import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { expect, onTestFinished, test, vi } from 'vitest';
import { Unavailable } from '../../../core/errors.ts';
import { codeOf } from '../../../host/files/error-code.ts';
import { openLocalService } from '../../../host/http/local-service.ts';
import { waitFor } from '../../../simulator/wait-for.ts';
import { nowhere } from './local-server.ts';
import { stopTimers } from './stop-timers.ts';

stopTimers();

const patient = new AbortController().signal;
const options = { serviceName: 'instance metadata', timeoutMs: 5_000, maxBytes: 1_000 };

/** A service of raw bytes: the test decides what each connection receives and when it ends. */
async function talk(answer: (socket: Socket, question: string, connection: number) => void) {
  const questions: string[] = [];
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    const connection = sockets.push(socket);
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      questions.push(bytes.toString('latin1'));
      answer(socket, bytes.toString('latin1'), connection);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const service = openLocalService(url, options);
  const read = async (path = '/a', signal = patient) => {
    const { status, body } = await service.send({ path }, signal);
    return `${status} ${body.toString()}`;
  };
  return { url, service, read, questions, sockets };
}

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

test('sends one request after the other over one connection', async () => {
  const { read, questions, sockets } = await talk((socket) => socket.write(ok));
  expect([await read('/a'), await read('/b'), await read('/c')]).toEqual(['200 ok', '200 ok', '200 ok']);
  expect(sockets).toHaveLength(1);
  expect(questions.map((each) => each.split('\r\n')[0])).toEqual([
    'GET /a HTTP/1.1',
    'GET /b HTTP/1.1',
    'GET /c HTTP/1.1',
  ]);
});

test('keeps the answers of simultaneous requests apart', async () => {
  let answerFirst: (() => void) | undefined;
  const { read } = await talk((socket, question) => {
    const path = question.split(' ')[1]!;
    const answer = () => socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${path.length}\r\n\r\n${path}`);
    if (path === '/1') answerFirst = answer;
    else answer();
  });
  const first = read('/1');
  const others = await Promise.all([read('/22'), read('/333'), read('/4444')]);
  await waitFor('the first is asked', () => answerFirst !== undefined);
  answerFirst!();
  expect([await first, ...others]).toEqual(['200 /1', '200 /22', '200 /333', '200 /4444']);
});

test('keeps as many connections as the agent has simultaneous questions, and uses them in turn', async () => {
  const used: number[] = [];
  const { read, sockets } = await talk((socket, _, connection) => {
    used.push(connection);
    socket.write(ok);
  });
  for (let round = 0; round < 5; round += 1) await Promise.all([read('/1'), read('/2'), read('/3'), read('/4')]);
  expect(sockets).toHaveLength(4);
  used.length = 0;
  for (let each = 0; each < 4; each += 1) await read();
  expect(used.toSorted((one, other) => one - other)).toEqual([1, 2, 3, 4]);
});

test.each([
  ['in single bytes', Array.from(ok)],
  ['in chunks', ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n', '1\r\nk\r\n0\r\n\r\n']],
  ['after a "100 Continue"', [`HTTP/1.1 100 Continue\r\n\r\n${ok}`]],
])('reads an answer that comes %s', async (_, pieces) => {
  const { read } = await talk((socket) => {
    for (const piece of pieces) socket.write(piece);
  });
  expect(await read()).toBe('200 ok');
});

test('reads an answer that ends with its connection, as EC2 and HTTP/1.0 send it', async () => {
  const { read, sockets } = await talk((socket, _, connection) =>
    connection === 1
      ? socket.end('HTTP/1.0 200 OK\r\n\r\nok')
      : socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 4\r\n\r\nnone'),
  );
  expect([await read(), await read(), await read()]).toEqual(['200 ok', '404 none', '404 none']);
  expect(sockets).toHaveLength(3);
});

test('replaces a connection that the service has closed meanwhile', async () => {
  const { read, sockets } = await talk((socket, question, connection) => {
    if (connection === 1 && question.startsWith('GET /b')) socket.resetAndDestroy();
    else socket.write(ok);
  });
  expect([await read('/a'), await read('/b')]).toEqual(['200 ok', '200 ok']);
  expect(sockets).toHaveLength(2);
});

test('asks a service that always hangs up twice at most, and then reports it', async () => {
  const { read, questions } = await talk((socket, question) =>
    question.startsWith('GET /well') ? socket.write(ok) : socket.destroy(),
  );
  await expect(read()).rejects.toThrow(/instance metadata: the connection was closed/);
  expect(questions).toHaveLength(1);
  await read('/well');
  await expect(read()).rejects.toThrow(Unavailable);
  expect(questions).toHaveLength(4);
});

test.each([
  ['half an answer', 'HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf'],
  ['half a head', 'HTTP/1.1 200 OK\r\nContent-Le'],
  ['an unfinished chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nhalf'],
  ['something else', 'SSH-2.0-OpenSSH_9.6\r\n'],
  ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok'],
  ['too much', `HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n${'x'.repeat(1001)}`],
  ['too much without an end', `HTTP/1.1 200 OK\r\n\r\n${'x'.repeat(2000)}`],
])('rejects %s as an answer', async (_, text) => {
  const { read } = await talk((socket) => socket.end(text));
  await expect(read()).rejects.toThrow(Unavailable);
});

test('never takes unrequested bytes for the next answer', async () => {
  const surplus = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil';
  const { read, sockets } = await talk((socket) => socket.write(sockets.length === 1 ? `${ok}${surplus}` : ok));
  expect([await read('/a'), await read('/b')]).toEqual(['200 ok', '200 ok']);
  expect(sockets).toHaveLength(2);
  // Between two questions, too.
  const closed = once(sockets[1]!, 'close');
  sockets[1]!.write(surplus);
  await closed;
  expect(await read('/c')).toBe('200 ok');
});

test('ends silence at the timeout and on abort, and does not reuse the connection', async () => {
  const { url, read, service, sockets, questions } = await talk((socket, question) => {
    if (question.includes('/well')) socket.write(ok);
  });
  const controller = new AbortController();
  const reason = new Error('the node stops');
  const asking = service.send({ path: '/silent' }, controller.signal).catch((error: unknown) => error);
  await waitFor('it is asked', () => questions.length === 1);
  controller.abort(reason);
  expect(await asking).toBe(reason);
  await expect(service.send({ path: '/silent' }, controller.signal)).rejects.toBe(reason);
  expect(await read('/well')).toBe('200 ok');
  expect(sockets).toHaveLength(2);
  const hurried = openLocalService(url, { ...options, timeoutMs: 30 });
  const late = hurried.send({ path: '/silent' }, patient).catch((error: unknown) => error);
  vi.advanceTimersByTime(30);
  expect(await late).toMatchObject({ message: expect.stringContaining('no answer within 0.03 s') });
});

test('reports a closed port by the code of its error', async () => {
  const service = openLocalService(new URL(nowhere), options);
  const failure = await service.send({ path: '/' }, patient).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(Unavailable);
  expect(codeOf(failure)).toBe('ECONNREFUSED');
});

test('sends method, host and headers, and nothing that would be a second request', async () => {
  const { service, questions } = await talk((socket) => socket.write(ok));
  await service.send({ method: 'PUT', path: '/latest/api/token', headers: { 'x-ttl': '60' } }, patient);
  expect(questions[0]).toMatch(
    /^PUT \/latest\/api\/token HTTP\/1\.1\r\nhost: 127\.0\.0\.1:\d+\r\ncontent-length: 0\r\nx-ttl: 60\r\n\r\n$/,
  );
  for (const question of [
    { path: '/a HTTP/1.1\r\nevil: yes' },
    { path: '/ä' },
    { path: '/', headers: { token: 'a\r\nevil: yes' } },
  ]) {
    await expect(service.send(question, patient)).rejects.toThrow(TypeError);
  }
  expect(questions).toHaveLength(1);
});

test('finds a header in any case', async () => {
  const { service } = await talk((socket) =>
    socket.write('HTTP/1.1 200 OK\r\nX-Aws-Ttl: 60\r\nContent-Length: 0\r\n\r\n'),
  );
  const { header } = await service.send({ path: '/' }, patient);
  expect([header('x-aws-ttl'), header('content-type')]).toEqual(['60', undefined]);
});
