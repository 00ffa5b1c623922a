import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { expect } from 'chai';

/** Node's arguments to run this code with a log. */
function withLog(script: string, format = 'json'): string[] {
  const module = JSON.stringify(new URL('../../src/log.ts', import.meta.url).href);
  const code = `const { createLog } = await import(${module});
    const log = createLog({ level: 'info', format: '${format}' });
    ${script}`;
  return ['--input-type=module', '-e', code];
}

/** The log of a process that ran this code and then ended. */
function logOf(script: string): string[] {
  const { stderr } = spawnSync(process.execPath, withLog(script), { encoding: 'utf8' });
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

  for (const format of ['json', 'pretty']) {
    it(`(${format}) drops lines that nobody reads, and counts them`, async () => {
      const script = `for (let n = 0; n < 4000; n++) {
        log.info({ n, padding: 'x'.repeat(500) }, 'a line');
        if (n % 10 === 0) await new Promise(setImmediate);
      }
      console.log('went on');
      process.stdin.once('end', () => process.stderr.write('', () => log.info('the last line'))).resume();`;
      const child = spawn(process.execPath, withLog(script, format), { stdio: 'pipe' });
      await once(child.stdout, 'data');
      const reading = text(child.stderr);
      child.stdin.end();
      const lines = (await reading).trimEnd().split('\n');
      const written = lines.filter((line) => line.includes('a line')).length;
      const lost = lines.map((line) => Number(/"lost":(\d+)/.exec(line)?.[1] ?? 0)).reduce((sum, it) => sum + it, 0);
      expect(written).to.be.below(4000);
      expect(written + lost).to.equal(4000);
      expect(lines.at(-1)).to.include('the last line');
    });
  }
});
