import { checkHookUrl, kindOfUrl } from '../hooks/hook-url.ts';
import { Secret } from '../secret.ts';
import { presetKinds } from '../words.ts';
import { text } from './values.ts';

/** The address of a known service, or one with the name of its kind before it: `ntfy+https://…`. No error quotes it. */
export function alertUrl(allowHosts: readonly string[]) {
  return text((value) => {
    const [, prefix, url = ''] = /^(?:([a-z]+)\+)?(https?:.*)$/.exec(value) ?? [];
    const kind = presetKinds.find((it) => it === (prefix ?? kindOfUrl(url)));
    if (kind === undefined)
      throw new Error(
        `must be an https address of Slack, Discord, Telegram or ntfy.sh; put ${presetKinds.join('+, ')}+ before any other`,
      );
    try {
      checkHookUrl(kind, url, { allowHosts, allowHttp: true });
    } catch (error) {
      throw new Error(`cannot be used: ${(error as Error).message}`);
    }
    return new Secret({ kind, url });
  });
}
