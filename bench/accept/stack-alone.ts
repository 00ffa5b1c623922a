/** Our app with every guard, limit, header, metric and log line, but a store that keeps nothing. */

import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { readConfig } from '../../src/config/read-config.ts';
import { openContext, openDatabaseContext } from '../../src/context.ts';
import { createLog } from '../../src/log.ts';
import { openMailingContext } from '../../src/mailing-context.ts';
import { createApp } from '../../src/server/app.ts';
import { openPages } from '../../src/server/pages/pages.ts';
import { defaultFormSlug, findOpenForm } from '../../src/services/forms/forms.ts';
import { makeReceipt } from '../../src/services/ids.ts';
import type { Intake } from '../../src/services/intake/intake.ts';
import { openPostMemory } from '../../src/services/intake/post-memory.ts';
import { openWriteAccess } from '../../src/services/intake/write-access.ts';
import { openScope } from '../../src/services/scope.ts';

const config = readConfig(process.env);
const log = createLog({ ...config.log, format: 'json' });
const base = await openDatabaseContext(config, { log, embedded: 'join', waiting: 'visitor' });
await using context = await openMailingContext(await openContext(base));

// Read once, so that posts need no database query.
const form = await findOpenForm(openScope(context), defaultFormSlug);
const intake: Intake = {
  forms: new Map([[defaultFormSlug, form]]),
  memory: openPostMemory(),
  writes: openWriteAccess(),
  store: async () => ({
    stored: { id: randomUUID(), receipt: makeReceipt(), receivedAt: new Date() },
    repeated: false,
  }),
  [Symbol.asyncDispose]: async () => {},
};
const server = createServer(createApp(context, openPages(config), { stopping: false }, intake).callback());
server.listen(0, '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
await new Promise((resolve) => process.once('SIGTERM', resolve));
server.close().closeAllConnections();
