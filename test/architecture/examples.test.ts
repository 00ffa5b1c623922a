import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { expect } from 'chai';
import type { Command } from 'commander';
import { createProgram } from '../../src/cli/program.ts';
import type { Deps } from '../../src/cli/terminal/deps.ts';
import { readConfig } from '../../src/config/read-config.ts';
import { withSecretFiles } from '../../src/config/secret-files.ts';
import {
  blocksOf,
  callsIn,
  changesTheMachine,
  documents,
  readDocument,
  rootFolder,
  scriptOf,
} from '../support/documents.ts';
import { testKeys } from '../support/program.ts';

const blocks = documents.flatMap(blocksOf);

describe('examples in the documents', () => {
  it('call only existing commands, arguments and options', async () => {
    const faults: string[] = [];
    let checked = 0;
    for (const block of blocks) {
      for (const args of callsIn(scriptOf(block) ?? '')) {
        checked++;
        const fault = await refusalOf(args);
        if (fault !== undefined) faults.push(`${block.document}:${block.line}: ruffinweb ${args.join(' ')}: ${fault}`);
      }
    }
    expect(faults).to.deep.equal([]);
    expect(checked, 'the examples were found').to.be.above(20);
  });

  it('name only existing commands and options in running text', () => {
    const faults: string[] = [];
    for (const document of documents) {
      for (const [, code = ''] of readDocument(document).matchAll(
        /(?<!`)`((?:\.\/bin\/)?ruffinweb(?:\.js)? [^`]+)`(?!`)/g,
      )) {
        const fault = unknownIn(code.split(/\s+/).slice(1));
        if (fault !== undefined) faults.push(`${document}: ${code}: ${fault}`);
      }
    }
    expect(faults).to.deep.equal([]);
  });

  it('set only existing variables, to valid values', () => {
    const faults: string[] = [];
    for (const { document, line, language, text } of blocks) {
      if (language !== 'env') continue;
      try {
        readConfig(withSecretFiles({ ...production, ...parseEnv(text) }, () => 'from-a-file').values);
      } catch (error) {
        faults.push(`${document}:${line}: ${(error as Error).message}`);
      }
    }
    expect(faults).to.deep.equal([]);
  });

  it('give a reason for each command that is not run', () => {
    for (const block of blocks) {
      const changes = block.notRun === undefined && changesTheMachine(scriptOf(block) ?? '');
      const advice = 'write <!-- not run: … --> above the block, with the reason and the test that does it instead';
      expect(changes, `${block.document}:${block.line} changes the machine: ${advice}`).to.equal(false);
    }
  });

  it('mark only shell blocks as not run, and name tests that exist', () => {
    for (const block of blocks) {
      if (block.notRun === undefined) continue;
      const where = `${block.document}:${block.line}`;
      expect(scriptOf(block), where).to.be.a('string');
      for (const [path] of block.notRun.matchAll(/test\/\S+\.ts/g)) {
        expect(existsSync(join(rootFolder, path)), `${where}: ${path}`).to.equal(true);
      }
    }
    for (const document of documents) {
      const marks = readDocument(document).match(/<!-- not run:/g)?.length ?? 0;
      expect(blocks.filter((it) => it.document === document && it.notRun !== undefined).length, document).to.equal(
        marks,
      );
    }
  });
});

/** The settings of a production server; an example may add to them. */
const production = {
  NODE_ENV: 'production',
  PUBLIC_URL: 'https://forms.example.com',
  DATABASE_URL: 'postgresql://ruffinweb:password@db.example.com/ruffinweb',
  SMTP_HOST: 'smtp.example.com',
  SMTP_USER: 'forms@example.com',
  SMTP_PASSWORD: 'from-a-file',
  MAIL_FROM: 'forms@example.com',
  NOTIFY_TO: 'owner@example.com',
  ENCRYPTION_KEYS: testKeys,
};

/** The error for arguments the command line rejects before doing anything; undefined if it accepts them. */
async function refusalOf(args: readonly string[]): Promise<string | undefined> {
  let said = '';
  const stream = { write: (text: string) => (said += text), columns: 80, isTTY: false };
  const program = treeOf(stream);
  for (const command of allCommands(program)) command.action(() => {});
  try {
    await program.parseAsync(['node', 'ruffinweb', ...args]);
  } catch (error) {
    const { code } = error as { code?: string };
    return code === 'commander.version' || code === 'commander.helpDisplayed' || code === 'commander.help'
      ? undefined
      : said;
  }
  return undefined;
}

/** Follows the words to the deepest command they name; options must belong to it or to every command. */
function unknownIn(words: readonly string[]): string | undefined {
  let command = treeOf({ write: () => true, columns: 80, isTTY: false });
  const program = command;
  for (const word of words) {
    if (word.startsWith('-')) {
      const [flag = ''] = word.split('=');
      const known = [...command.options, ...program.options].some((it) => it.long === flag || it.short === flag);
      if (!known && flag !== '--help') return `${command.name()} has no ${flag}`;
    } else if (command.commands.length > 0) {
      const next = command.commands.find((it) => it.name() === word);
      if (next === undefined) return /^[a-z]+$/.test(word) ? `there is no ${word}` : undefined;
      command = next;
    }
  }
  return undefined;
}

function treeOf(stream: unknown): Command {
  // Only the command tree is inspected; before a command runs, only the streams are used.
  return createProgram({ stdout: stream, stderr: stream, env: {} } as unknown as Deps);
}

function allCommands(parent: Command): Command[] {
  return parent.commands.flatMap((it) => (it.commands.length > 0 ? allCommands(it) : [it]));
}
