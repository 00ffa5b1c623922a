import { isTestSecret } from '../captcha/kinds.ts';
import { isOnOwnNetwork } from '../network/ip-network.ts';
import type { Config, ConfigWarning } from './config.ts';
import { isPublicKey } from './public-secrets.ts';

type Settings = Pick<Config, 'production' | 'publicUrl' | 'redisUrl' | 'encryptionKeys' | 'captcha'>;

/** Settings that work and should not stay: secrets that everybody knows, and clear text that leaves our network. */
export function findWarnings(config: Settings): ConfigWarning[] {
  const { captcha } = config;
  return [
    ...checkScheme('PUBLIC_URL', config.publicUrl, 'visitors send their messages'),
    ...(config.production ? checkCaptcha(captcha.secret?.reveal()) : []),
    ...checkScheme('CAPTCHA_VERIFY_URL', captcha.verifyUrl, 'the captcha secret is sent'),
    ...checkScheme('REDIS_URL', config.redisUrl?.reveal(), 'its password is sent'),
    ...(config.production ? checkOlderKeys(config.encryptionKeys?.reveal() ?? []) : []),
  ];
}

function checkCaptcha(secret: string | undefined): ConfigWarning[] {
  if (!isTestSecret(secret)) return [];
  const wrong = "is the provider's published test secret, which checks nothing";
  return [{ variable: 'CAPTCHA_SECRET', wrong, fix: 'set CAPTCHA_SECRET and CAPTCHA_SITE_KEY to your own' }];
}

function checkScheme(variable: ConfigWarning['variable'], value: string | undefined, what: string): ConfigWarning[] {
  const url = URL.parse(value ?? '');
  if (url === null || !/^(http|redis):$/.test(url.protocol) || isOnOwnNetwork(url.hostname)) return [];
  const line = withoutPassword(url)
    .replace(/^(http|redis):/, '$1s:')
    .replace(/\/$/, '');
  return [{ variable, wrong: `is ${url.protocol}//, so ${what} unencrypted`, fix: `set ${variable}=${line}` }];
}

function checkOlderKeys([, ...older]: readonly { id: string; secret: Uint8Array }[]): ConfigWarning[] {
  return older
    .filter(({ secret }) => isPublicKey(secret))
    .map(({ id }) => ({
      variable: 'ENCRYPTION_KEYS',
      wrong: `still has the key "${id}", which everybody knows`,
      fix: `run "ruffinweb encryption rotate", then remove "${id}" from ENCRYPTION_KEYS`,
    }));
}

function withoutPassword(url: URL): string {
  const shown = new URL(url);
  if (shown.password !== '') shown.password = '***';
  // A password alone may stand in its place by mistake, and Redis takes one in the query.
  else if (shown.username !== '') shown.username = '***';
  if (shown.search !== '') shown.search = '?***';
  return shown.href;
}
