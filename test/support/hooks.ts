import { buildProgram } from './built-program.ts';
import { startTestServer } from './database.ts';

// Texts with exact times are compared. Processes of their own get it from `program.ts` and `terminal.ts`.
process.env.TZ = 'UTC';

let stop: () => Promise<void>;

export async function mochaGlobalSetup(): Promise<void> {
  [stop] = await Promise.all([startTestServer(), buildProgram()]);
}

export async function mochaGlobalTeardown(): Promise<void> {
  await stop();
}
