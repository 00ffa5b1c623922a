import { execFile } from 'node:child_process';
import { accessSync, constants, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { parse } from 'yaml';
import { describeWith, pathOf } from '../support/machine-programs.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: Record<string, string> };

interface Step {
  uses?: string;
  with?: Record<string, unknown>;
  if?: string;
  run?: string;
  env?: Record<string, string>;
}

interface Workflow {
  permissions: Record<string, string>;
  jobs: Record<
    string,
    {
      'timeout-minutes': number;
      steps: Step[];
      strategy?: { matrix: { postgres: number[] } };
      needs?: string;
      if?: string;
      environment?: string;
    }
  >;
}

const workflows = ['.github/workflows/ci.yml', 'deploy/github/deploy.yml'].map((path) => ({
  text: readFileSync(join(root, path), 'utf8'),
  path,
  workflow: parse(readFileSync(join(root, path), 'utf8')) as Workflow,
}));

for (const { path, text, workflow } of workflows) {
  describe(path, () => {
    const steps = Object.values(workflow.jobs).flatMap((job) => job.steps);

    it('runs only scripts that exist: npm’s, and our executable files', () => {
      const runs = steps.flatMap((it) => (it.run === undefined ? [] : it.run.trim().split('\n')));
      expect(runs).to.not.be.empty;
      for (const line of runs) {
        const [, script = ''] = /^npm (?:run )?(\S+)$/.exec(line) ?? [];
        if (line === 'npm ci' || script in scripts) continue;
        const file = line.split(' ')[0] ?? '';
        expect(file, line).to.match(/^(\.ci|deploy)\//);
        accessSync(join(root, file), constants.X_OK);
      }
    });

    it('pins its actions by commit, and leaves no login behind', () => {
      const uses = text.split('\n').filter((line) => /\buses:/.test(line));
      expect(uses).to.have.lengthOf(steps.filter((it) => it.uses !== undefined).length);
      for (const line of uses) expect(line).to.match(/uses: actions\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
      const checkouts = steps.filter((it) => it.uses?.startsWith('actions/checkout@'));
      expect(checkouts).to.not.be.empty;
      for (const it of checkouts) expect(it.with?.['persist-credentials']).to.equal(false);
    });

    it("limits each job's time, and has read permission only", () => {
      for (const job of Object.values(workflow.jobs)) expect(job['timeout-minutes']).to.be.within(1, 60);
      expect(workflow.permissions).to.deep.equal({ contents: 'read' });
    });
  });
}

describe('.github/workflows/ci.yml as a whole', () => {
  const jobs = workflows[0]?.workflow.jobs ?? {};

  it('runs every test, on PostgreSQL 15 and 18, and packs', () => {
    const runs = Object.values(jobs).flatMap((job) => job.steps.map((it) => it.run));
    const tests = Object.keys(scripts)
      .filter((it) => /^test:|^check$/.test(it))
      .map((it) => `npm run ${it}`);
    expect(runs).to.include.members(['npm test', ...tests, 'deploy/github/pack-release.sh release']);
    expect(jobs['test']?.strategy?.matrix.postgres).to.deep.equal([15, 18]);
  });
});

describe('deploy/github/deploy.yml as a whole', () => {
  const { jobs = {} } = workflows[1]?.workflow ?? {};

  it('packs without secrets, and runs no package where the key is', () => {
    const { pack, deploy } = jobs;
    expect(Object.keys(jobs)).to.deep.equal(['pack', 'deploy']);
    expect(JSON.stringify(pack)).to.not.match(/secrets\.|vars\.|environment|"cache"/);
    expect(deploy).to.include({ environment: 'production', needs: 'pack' });
    expect(pack?.steps.map((it) => it.run).filter(Boolean)).to.deep.equal(['deploy/github/pack-release.sh release']);
    expect(JSON.stringify(deploy)).to.not.match(/npm|setup-node|pack-release/);
    const [upload, download] = [pack?.steps, deploy?.steps].map((steps) =>
      steps?.find((it) => it.uses?.includes('load-artifact@')),
    );
    expect(download?.with?.name).to.equal(upload?.with?.name);
  });

  it('goes back without packing', () => {
    expect(jobs.pack?.if).to.include('!inputs.back');
    expect(jobs.deploy?.if).to.include("inputs.back || needs.pack.result == 'success'").and.include('!cancelled()');
  });

  it('gives the SSH key only to the steps that need it', () => {
    const steps = Object.values(jobs).flatMap((job) => job.steps);
    for (const step of steps)
      expect('DEPLOY_KEY' in (step.env ?? {}), step.run).to.equal(step.run?.includes('push-release.sh') === true);
  });
});

describeWith(['shellcheck'], 'shell scripts', () => {
  it('pass shellcheck', async () => {
    const files = ['.ci', 'deploy', 'deploy/bin', 'deploy/github']
      .flatMap((folder) => readdirSync(join(root, folder)).map((name) => join(root, folder, name)))
      .filter((file) => /\.ci\/|deploy\/bin\/|\.sh$/.test(file));
    expect(files.length).to.be.greaterThan(5);
    const { stdout } = await run(pathOf('shellcheck') ?? '', ['--severity=warning', ...files]).catch((error) => error);
    expect(stdout).to.equal('');
  });
});
