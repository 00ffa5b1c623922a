import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { fileURLToPath } from 'node:url';
import type { Answer } from './api.ts';
import { freePort, MachineProcess, programFolder } from './machine-programs.ts';
import { testCertificate } from './smtp-server.ts';

const site = fileURLToPath(new URL('../../deploy/nginx/', import.meta.url));
const tls = fileURLToPath(new URL('tls/', import.meta.url));

/** The real nginx with the site that we publish; only names, ports and folders are this machine's. */
export class Nginx implements AsyncDisposable {
  readonly port: number;
  readonly plainPort: number;
  /** Its access log, its error log, and the log Debian gives every site without one. */
  readonly logs: () => Promise<{ access: string; error: string; debian: string }>;
  readonly #process: MachineProcess;
  readonly #opened: AsyncDisposableStack;

  private constructor(
    opened: AsyncDisposableStack,
    nginx: MachineProcess,
    folder: string,
    ports: { tls: number; plain: number },
  ) {
    this.#opened = opened;
    this.#process = nginx;
    this.port = ports.tls;
    this.plainPort = ports.plain;
    this.logs = async () => ({
      access: await readFile(`${folder}/access.log`, 'utf8'),
      error: await readFile(`${folder}/error.log`, 'utf8'),
      debian: await readFile(`${folder}/debian.log`, 'utf8'),
    });
  }

  /** @param change the edit a person would make in the site's text for this variant. */
  static async before(servers: readonly string[], change: (site: string) => string = (text) => text): Promise<Nginx> {
    await using opened = new AsyncDisposableStack();
    const folder = opened.use(await programFolder('nginx')).path;
    const ports = { tls: await freePort(), plain: await freePort() };
    await cp(`${site}pages`, `${folder}/pages`, { recursive: true });
    await mkdir(`${folder}/temp`);
    const upstreams = servers.map((it) => `  server ${new URL(it).host} max_fails=1 fail_timeout=5s;\n`).join('');
    const text = change(await readFile(`${site}ruffinweb.conf`, 'utf8'))
      .replace(/^ {2}server 127\.0\.0\.1:3000 .*\n/m, upstreams)
      .replaceAll(/^ {2}listen \[::\].*\n/gm, '')
      .replace('listen 80;', `listen 127.0.0.1:${ports.plain};`)
      .replace('listen 443 ssl', `listen 127.0.0.1:${ports.tls} ssl`)
      .replaceAll('forms.example.com;', 'localhost;')
      .replace(/ssl_certificate .*;/, `ssl_certificate ${tls}cert.pem;`)
      .replace(/ssl_certificate_key .*;/, `ssl_certificate_key ${tls}key.pem;`)
      .replace('/etc/nginx/ruffinweb/', `${folder}/pages/`)
      .replaceAll('/var/log/nginx/ruffinweb.log', `${folder}/access.log`);
    const temps = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
    await writeFile(
      `${folder}/nginx.conf`,
      `${process.getuid?.() === 0 ? 'user root;' : ''}
worker_processes 1;
daemon off;
pid ${folder}/pid;
error_log ${folder}/error.log info;
events { worker_connections 512; }
http {
  access_log ${folder}/debian.log combined;
${temps.map((it) => `  ${it}_temp_path ${folder}/temp/${it};`).join('\n')}
${text}
}`,
    );
    const nginx = opened.use(
      new MachineProcess('nginx', ['-c', `${folder}/nginx.conf`, '-p', folder, '-e', `${folder}/error.log`]),
    );
    const made = new Nginx(opened.move(), nginx, folder, ports);
    await nginx.ready('nginx answers', async () => (await made.send('/livez')).status > 0);
    return made;
  }

  /** One request over TLS, with the certificate checked. */
  send(
    path: string,
    options: { method?: string; headers?: Record<string, string>; body?: string } = {},
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const sent = request(
        {
          ...{ host: '127.0.0.1', port: this.port, servername: 'localhost', ca: testCertificate, path, agent: false },
          method: options.method ?? 'GET',
          headers: {
            Host: 'localhost',
            ...(options.body !== undefined && { 'Content-Length': Buffer.byteLength(options.body) }),
            ...options.headers,
          },
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', reject);
          response.on('end', () => {
            const text = Buffer.concat(chunks).toString('utf8');
            const headers = new Headers(response.headers as Record<string, string>);
            const isJson = /json\b/.test(headers.get('content-type') ?? '');
            resolve({ status: response.statusCode ?? 0, headers, text, json: isJson ? JSON.parse(text) : undefined });
          });
        },
      );
      sent.on('error', reject);
      sent.end(options.body);
    });
  }

  post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    return this.send(path, {
      method: 'POST',
      body: typeof body === 'string' ? body : JSON.stringify(body),
      headers: { 'Content-Type': 'application/json', ...headers },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The workers of a killed master would keep running.
    await this.#process.end('SIGTERM');
    await this.#opened[Symbol.asyncDispose]();
  }
}
