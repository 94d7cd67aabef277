// Does the work of Lambda's own runtime for Node: takes one event after the other from the Runtime
// API and hands it to a handler.
//
// In the place of AWS's aws-lambda-ric, which is built with CMake and a compiler when it is
// installed.
import { createRequire } from 'node:module';
import { join } from 'node:path';

const { AWS_LAMBDA_RUNTIME_API: api, LAMBDA_TASK_ROOT: root = '', _HANDLER: name = '' } = process.env;
const base = `http://${api}/2018-06-01/runtime`;

type Handler = (event: unknown, context: object) => Promise<unknown>;

async function post(path: string, body: unknown): Promise<void> {
  await fetch(`${base}/${path}`, { method: 'POST', body: JSON.stringify(body) ?? 'null' });
}

function render(error: unknown): object {
  const { name: errorType, message: errorMessage, stack } = error as Error;
  return { errorType, errorMessage, trace: stack?.split('\n') };
}

async function loadHandler(): Promise<Handler> {
  const [file = '', exported = ''] = name.split('.');
  const handler = (createRequire(join(root, '/'))(join(root, file)) as Record<string, Handler | undefined>)[exported];
  if (typeof handler !== 'function') throw new Error(`Runtime.HandlerNotFound: ${name} is undefined or not exported`);
  // Since Node 24 a runtime takes no callback.
  if (handler.length > 2) throw new Error('Runtime.CallbackHandlerDeprecated');
  return handler;
}

async function serve(handler: Handler): Promise<never> {
  for (;;) {
    const next = await fetch(`${base}/invocation/next`);
    const awsRequestId = next.headers.get('lambda-runtime-aws-request-id')!;
    const deadline = Number(next.headers.get('lambda-runtime-deadline-ms'));
    const context = { awsRequestId, getRemainingTimeInMillis: () => Math.max(0, deadline - Date.now()) };
    try {
      await post(`invocation/${awsRequestId}/response`, await handler(await next.json(), context));
    } catch (error) {
      await post(`invocation/${awsRequestId}/error`, render(error));
    }
  }
}

try {
  await serve(await loadHandler());
} catch (error) {
  await post('init/error', render(error));
  process.exit(1);
}
