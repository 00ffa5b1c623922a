import { resolve } from 'node:path';
import type { Call, CliCommand } from '../../session/command.ts';
import type { Settings } from '../../terminal/deps.ts';

export function addNewKey(encryption: CliCommand): void {
  encryption
    .command('new-key')
    .description('Make a key, and say where it belongs in this installation; writes nothing')
    .jsonOption()
    .examples('ruffinweb encryption new-key', 'ruffinweb encryption new-key --json')
    .run(printNewKey);
}

const steps = `1. Add it there at the end, after a comma, on every machine, and restart every server and worker. With a single server process, skip this step.
2. Move it to the front there, and restart them again: now it encrypts.
3. Encrypt everything with it: ruffinweb encryption rotate

Leave the old keys there until then.`;

/** Needs neither a database nor valid settings: a key is also wanted for the very first start. */
async function printNewKey({ deps, output }: Call): Promise<void> {
  // Loads crypto, which help pages do without.
  const keyFiles = await import('../../../privacy/key-file.ts');
  const { source, file, keys } = findPlace(deps.readSettings(), keyFiles);
  const ids = [...keys.matchAll(/(?:^|,)\s*([\w-]+):/g)].map(([, id = '']) => id);
  const key = keyFiles.makeKeys(new Date());
  output.printResult({ key, source, file }, () => {
    output.print(key);
    output.note('\nNothing was written. Keep a copy of this key, apart from the backups: a lost key is lost data.');
    const place = file ?? 'the environment of every program';
    const setting = source === 'file' || source === 'key-file' ? '' : 'ENCRYPTION_KEYS in ';
    output.note(`It belongs in ${setting}${place}${ids.length === 0 ? '' : `, beside ${ids.join(', ')}`}.`);
    if (file?.startsWith('/run/')) {
      output.note('Programs get that file as a copy: change its original, which the unit or the compose file names.');
    }
    output.note(ids.length === 0 && source !== 'file' ? '\nPut it there before the first start.' : `\n${steps}`);
  });
}

type KeyFiles = typeof import('../../../privacy/key-file.ts');

/** Where the keys are now; `file` is null for the environment, and `key-file` is the one in the data folder. */
function findPlace({ values, file, sourceOf }: Settings, { keyFile, readKeyFile }: KeyFiles) {
  const { ENCRYPTION_KEYS: keys = '', ENCRYPTION_KEYS_FILE: secretFile, NODE_ENV: mode, DATA_DIR: dataDir } = values;
  const source = sourceOf('ENCRYPTION_KEYS');
  if (source === 'environment') return { source, file: null, keys };
  // The secret file is the place, also if it cannot be read here.
  if (source !== '.env' && secretFile) return { source: 'file', file: resolve(secretFile), keys };
  if (source === '.env' || mode === 'production') return { source: '.env', file: resolve(file), keys };
  const folder = dataDir || './data';
  return { source: 'key-file', file: resolve(keyFile(folder)), keys: readKeyFile(folder) ?? '' };
}
