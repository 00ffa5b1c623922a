import { startTestServer } from './database.ts';

let stop: () => Promise<void>;

export async function mochaGlobalSetup(): Promise<void> {
  stop = await startTestServer();
}

export async function mochaGlobalTeardown(): Promise<void> {
  await stop();
}
