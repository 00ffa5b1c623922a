import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { makeFolder } from '../folder.ts';
import { openMailbox } from './mailbox.ts';
import type { Mail, Mailer, Outcome, SendOptions } from './mailer.ts';
import { buildMime, UnsendableMail } from './mime.ts';
import { cleanReply } from './smtp/reply.ts';

const stopped: Outcome = { result: 'later', reply: 'stopped before the mail was written' };

/**
 * Writes each mail as an `.eml` file if there is no SMTP. A file is complete or missing, survives a power cut once it is
 * reported as accepted, and is replaced if the same mail is sent again.
 */
export function createFileMailer(folder: string): Mailer {
  const mailer: Mailer = {
    lanes: 10,
    describes: `files in ${folder}`,
    mailbox: openMailbox(folder),
    async send(mail: Mail, { signal, beforeText }: SendOptions = {}) {
      if (signal?.aborted) return stopped;
      try {
        const name = fileName(mail);
        const { raw } = buildMime(mail);
        makeFolder(folder);
        if (beforeText && !(await beforeText())) return stopped;
        await writeDurably(folder, name, raw);
        return { result: 'accepted', reply: `written to ${name}` };
      } catch (error) {
        return outcomeOf(error);
      }
    },
    async verify() {
      try {
        // A check creates no folder: the first mail does.
        let nearest = folder;
        while (!existsSync(nearest)) nearest = dirname(nearest);
        const probe = join(nearest, `.probe-${randomUUID()}.tmp`);
        await (await open(probe, 'wx', 0o600)).close();
        await rm(probe);
        return { result: 'accepted', reply: `${folder} is writable` };
      } catch (error) {
        return outcomeOf(error);
      }
    },
    async walk(mail, onStep) {
      const outcome = await (mail ? mailer.send(mail) : mailer.verify());
      onStep({ step: 'accepted', isOk: outcome.result === 'accepted', detail: outcome.reply });
      return { outcome, certificateEndsAt: undefined };
    },
    async [Symbol.asyncDispose]() {},
  };
  return mailer;
}

/** `20261122T073300Z-notification-<id>.eml`: sorts by time, and the same mail always has the same name. */
function fileName(mail: Mail): string {
  if (!/^[a-z][a-z-]{0,40}$/.test(mail.kind) || !/^[A-Za-z0-9-]{1,64}$/.test(mail.id)) {
    throw new UnsendableMail('refused', 'not sendable: kind or id cannot be part of a file name');
  }
  const time = mail.date.toISOString().replace(/\.\d+/, '').replace(/[-:]/g, '');
  return `${time}-${mail.kind}-${mail.id}.eml`;
}

async function writeDurably(folder: string, name: string, content: Buffer): Promise<void> {
  const temporary = join(folder, `.${name}-${randomUUID()}.tmp`);
  try {
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, join(folder, name));
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  // The rename is durable only after the folder is synced.
  const directory = await open(folder, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** A full disk or a missing permission affects every mail, so the transport is broken. */
function outcomeOf(error: unknown): Outcome {
  if (error instanceof UnsendableMail) return error.outcome;
  return { result: 'broken', reply: cleanReply(error instanceof Error ? error.message : String(error)) };
}
