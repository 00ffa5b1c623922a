import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { chmod, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { parse } from 'yaml';
import { variableNames } from '../../src/config/variables.ts';
import { clientOf, submission } from '../support/api.ts';
import { createDatabase } from '../support/database.ts';
import { buildByHand, readDockerfile, readDockerignore, startInImage } from '../support/image.ts';
import { freePort } from '../support/machine-programs.ts';
import { temporaryFolder, testKeys } from '../support/program.ts';
import { until } from '../support/until.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

describe('deploy/Dockerfile, run step by step in plain folders', () => {
  it('makes an image that migrates, serves, is healthy and stops', async () => {
    await using folder = await temporaryFolder();
    // The image's user must be able to enter the folder.
    await chmod(folder.path, 0o755);
    await using db = await createDatabase({ empty: true });
    const image = await buildByHand(join(root, 'deploy/Dockerfile'), root, folder.path);
    expect(image.user).to.equal('node');
    // The Node that all tests run on.
    const { devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    expect(image.from.split('@')[0]).to.equal(`node:${devDependencies.node}-bookworm-slim`);
    expect(await readdir(join(image.root, image.workdir)), 'nothing but the packed release').to.have.members([
      'bin',
      'dist',
      'docs',
      'package.json',
      'README.md',
      'LICENSE',
      'CHANGELOG.md',
      'SECURITY.md',
    ]);

    const port = await freePort();
    const env = {
      ...{ PORT: String(port), HOST: '127.0.0.1', DATABASE_URL: db.url, ENCRYPTION_KEYS: testKeys },
      ...{ PUBLIC_URL: `http://127.0.0.1:${port}`, SMTP_HOST: '127.0.0.1', MAIL_FROM: 'forms@site.test' },
      ...{ NOTIFY_TO: 'owner@site.test', DATA_DIR: join(image.root, image.env.DATA_DIR ?? '') },
    };
    const health = async () => {
      const [code] = await once(startInImage(image, image.health ?? [], env), 'exit');
      return code;
    };
    expect(await health(), 'before it runs').to.equal(1);
    const server = startInImage(image, [...(image.entrypoint ?? []), ...(image.cmd ?? [])], env);
    let said = '';
    server.stderr.on('data', (bytes: Buffer) => {
      said += bytes;
    });
    try {
      await until(
        'it is healthy',
        async () => {
          if (server.exitCode !== null) throw new Error(`ended: ${said}`);
          return (await health()) === 0;
        },
        30_000,
      );
      const answer = await clientOf(env.PUBLIC_URL).post('/api/messages', submission());
      expect(answer.status).to.equal(201);
      const erase = ['senders', 'erase', '--email', String(submission().email), '--yes'];
      const [code] = await once(startInImage(image, [...(image.entrypoint ?? []), ...erase], env), 'exit');
      expect(code).to.equal(0);
      const log = await readFile(join(env.DATA_DIR, 'erasures.jsonl'), 'utf8');
      expect(log.trimEnd().split('\n'), 'one line for the one who was erased').to.have.lengthOf(1);
      expect(log).to.include('"erasedAt"');
    } finally {
      server.kill('SIGTERM');
    }
    expect((await once(server, 'exit'))[0]).to.equal(0);
  });
});

describe('.gitignore and .dockerignore', () => {
  it('keep keys, settings and secrets out of commits and images', async () => {
    const live = ['.env', '.env.20261127120000', 'data/encryption.keys', 'deploy/secrets/ENCRYPTION_KEYS'];
    const whole = ['.env.example', 'deploy/ruffinweb.env', 'src/config/variables.ts'];
    const isIgnored = readDockerignore(readFileSync(join(root, '.dockerignore'), 'utf8'));
    expect([...live, ...whole].filter(isIgnored)).to.deep.equal(live);
    // --no-index: git skips its ignore rules for tracked files, and these must be judged like new ones.
    const args = ['check-ignore', '--no-index', ...live, ...whole];
    const { stdout } = await promisify(execFile)('git', args, { cwd: root });
    expect(stdout.trim().split('\n')).to.deep.equal(live);
  });
});

describe('deploy/compose.yaml', () => {
  const compose = parse(readFileSync(join(root, 'deploy/compose.yaml'), 'utf8'));
  const { server, database } = compose.services;

  it('passes existing secret files under known variable names', () => {
    for (const [name, path] of Object.entries(server.environment as Record<string, string>)) {
      expect(variableNames).to.include(name.replace(/_FILE$/, ''));
      const secret = path.replace('/run/secrets/', '');
      expect(server.secrets).to.include(secret);
      expect(compose.secrets[secret].file).to.equal(`secrets/${secret}`);
    }
    expect(database.secrets.every((it: string) => it in compose.secrets)).to.equal(true);
  });

  it('names each image by full version and digest', () => {
    const dockerfile = readDockerfile(readFileSync(join(root, 'deploy/Dockerfile'), 'utf8'));
    const images = dockerfile.filter(([instruction]) => instruction === 'FROM').map(([, rest]) => rest.split(' ')[0]);
    expect(new Set(images).size, 'built with the Node that runs it').to.equal(1);
    for (const image of [...images, database.image])
      expect(image).to.match(/^(node|postgres):\d+\.\d+(\.\d+)?-bookworm(-slim)?@sha256:[0-9a-f]{64}$/);
  });

  it('limits what each container may use and do', () => {
    for (const [name, service] of Object.entries<typeof server>(compose.services)) {
      expect(service.mem_limit, name).to.match(/^\d+[mg]$/);
      expect(service.pids_limit, name).to.be.within(32, 256);
      expect(service.ulimits, name).to.deep.equal({ core: 0 });
      expect(service.cap_drop, name).to.deep.equal(['ALL']);
      expect(service.security_opt, name).to.deep.equal(['no-new-privileges:true']);
    }
    expect(server.cap_add).to.equal(undefined);
    expect(database.cap_add).to.have.members(['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'SETGID', 'SETUID']);
  });

  it('lets the server write only to the DATA_DIR volume', () => {
    const dockerfile = readDockerfile(readFileSync(join(root, 'deploy/Dockerfile'), 'utf8'));
    const dataDir = dockerfile.map(([, rest]) => /DATA_DIR=(\S+)/.exec(rest)?.[1]).find((it) => it !== undefined);
    expect([server.read_only, server.tmpfs]).to.deep.equal([true, ['/tmp']]);
    const [volume, path] = server.volumes[0].split(':');
    expect([Object.keys(compose.volumes).includes(volume), path]).to.deep.equal([true, dataDir]);
  });

  it('waits for the database, keeps data, opens only a local port', () => {
    expect(server.depends_on.database.condition).to.equal('service_healthy');
    expect(database.healthcheck.test).to.include.members(['CMD-SHELL']);
    expect(Object.keys(compose.volumes)).to.include(database.volumes[0].split(':')[0]);
    // Since version 18 the image keeps its data one folder higher.
    expect(database.image).to.match(/^postgres:18\./);
    expect(database.volumes[0].split(':')[1]).to.equal('/var/lib/postgresql');
    for (const port of server.ports) expect(port).to.match(/^127\.0\.0\.1:\d+:3000$/);
    expect(Number.parseInt(server.stop_grace_period, 10)).to.be.greaterThan(30);
    expect(server.build).to.deep.equal({ context: '..', dockerfile: 'deploy/Dockerfile' });
  });
});
