import { spawnSync } from 'node:child_process';
import { expect } from 'chai';

/** The log of a process that ran this code and then ended. */
function logOf(script: string): string[] {
  const module = JSON.stringify(new URL('../../src/log.ts', import.meta.url).href);
  const code = `const { createLog } = await import(${module});
    const log = createLog({ level: 'info', format: 'json' });
    ${script}`;
  const { stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' });
  return stderr
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => (JSON.parse(line) as { msg: string }).msg);
}

describe('log', () => {
  it('has every line of a turn in order, even if the process ends', () => {
    expect(logOf(`log.info('one'); log.info('two'); process.exit(0);`)).to.deep.equal(['one', 'two']);
    expect(logOf(`log.info('one'); setImmediate(() => log.info('two'));`)).to.deep.equal(['one', 'two']);
  });

  it('writes a warning, and the lines before it, at once', () => {
    expect(logOf(`log.info('one'); log.warn('two'); process.kill(process.pid, 'SIGKILL');`)).to.deep.equal([
      'one',
      'two',
    ]);
    const child = `log.child({ request: 'r' })`;
    expect(logOf(`${child}.info('one'); ${child}.error('two'); process.kill(process.pid, 'SIGKILL');`)).to.deep.equal([
      'one',
      'two',
    ]);
  });
});
