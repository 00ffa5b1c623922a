import { buildProgram } from './built-program.ts';
import { startTestServer } from './database.ts';

let stop: () => Promise<void>;

export async function mochaGlobalSetup(): Promise<void> {
  [stop] = await Promise.all([startTestServer(), buildProgram()]);
}

export async function mochaGlobalTeardown(): Promise<void> {
  await stop();
}
