/** An environment variable, for documentation and error messages. */
export interface Variable {
  meaning: string;
  /** The default; empty if there is none. */
  fallback: string;
  example: string;
  /** Shown masked, and can be read from the file in `NAME_FILE`. */
  secret?: true;
  /** Required with `NODE_ENV=production`. */
  production?: true;
}

/** Every variable this program reads. */
export const variables = {
  NODE_ENV: {
    meaning: '`production` needs every required setting, and never generates keys',
    fallback: 'development',
    example: 'production',
  },
  HOST: { meaning: 'the address to listen on', fallback: '127.0.0.1', example: '0.0.0.0' },
  PORT: { meaning: 'the port to listen on; 0 picks a free one and prints it', fallback: '3000', example: '8080' },
  PUBLIC_URL: {
    meaning: 'the public address of this server; links start with it',
    fallback: 'http://localhost:$PORT',
    example: 'https://forms.example.com',
    production: true,
  },
  DATABASE_URL: {
    meaning:
      'PostgreSQL 15 or newer, with the parameters `sslmode` and `sslrootcert` of libpq and no others (`sslmode` is `verify-full` for a host outside your network or with `sslrootcert`, else `disable`); or `embedded`',
    fallback: 'embedded',
    example: 'postgresql://ruffinweb:password@db.example.com/ruffinweb?sslmode=verify-full',
    secret: true,
    production: true,
  },
  DATA_DIR: {
    meaning: 'folder for the embedded database, `.eml` files and generated keys',
    fallback: './data',
    example: '/var/lib/ruffinweb',
  },
  SMTP_HOST: {
    meaning: 'the mail server; without it, mail is written to `.eml` files',
    fallback: '.eml files in DATA_DIR/mail',
    example: 'smtp.example.com',
    production: true,
  },
  SMTP_PORT: {
    meaning: '465 uses TLS from the start; other ports need STARTTLS, except on this machine',
    fallback: '465',
    example: '587',
  },
  SMTP_USER: { meaning: 'user name for the mail server', fallback: '', example: 'forms@example.com' },
  SMTP_PASSWORD: { meaning: 'password for the mail server', fallback: '', example: 'app-password', secret: true },
  SMTP_CONNECTIONS: {
    meaning: 'how many connections each process uses to send mail at the same time: 1 to 50',
    fallback: '10',
    example: '3',
  },
  SMTP_HELLO: {
    meaning: 'the name for EHLO; mail servers expect one with a dot',
    fallback: "the machine's name or else the host of PUBLIC_URL, if it has a dot; else the domain of MAIL_FROM",
    example: 'forms.example.com',
  },
  MAIL_FROM: {
    meaning: 'the From of every mail',
    fallback: 'SMTP_USER if it is an address',
    example: 'Example Contact <forms@example.com>',
    production: true,
  },
  NOTIFY_TO: {
    meaning: 'who gets an email about each new message; separate addresses by commas',
    fallback: 'owner@localhost',
    example: 'owner@example.com, office@example.com',
    production: true,
  },
  AUTO_REPLY: { meaning: 'whether senders get an auto-reply: `on` or `off`', fallback: 'on', example: 'off' },
  HELD_EXCERPT: {
    meaning:
      'whether the daily summary shows the name, address and first 80 characters of held messages: `on` or `off`',
    fallback: 'on',
    example: 'off',
  },
  CAPTCHA: {
    meaning: 'the captcha of forms: `none`, `altcha`, `turnstile`, `hcaptcha` or `recaptcha`',
    fallback: 'none',
    example: 'altcha',
  },
  CAPTCHA_SITE_KEY: { meaning: "the hosted captcha's public key", fallback: '', example: '0x4AAAAAAA-site-key' },
  CAPTCHA_SECRET: { meaning: "the hosted captcha's secret", fallback: '', example: '0x4AAAAAAA-secret', secret: true },
  CAPTCHA_VERIFY_URL: {
    meaning: 'another address that checks solutions by the same protocol',
    fallback: "the provider's own",
    example: 'https://www.recaptcha.net/recaptcha/api/siteverify',
  },
  ALLOWED_HOSTS: {
    meaning:
      'host names that the server answers to, without port, separated by commas; `/livez` and `/readyz` answer to any',
    fallback: 'the host of PUBLIC_URL, and localhost',
    example: 'forms.example.com, 203.0.113.7',
  },
  ALLOWED_ORIGINS: {
    meaning:
      "origins whose pages may post, separated by commas (also an app's, as `capacitor://localhost`); the origin of `PUBLIC_URL` always may, and a form can have its own origins instead",
    fallback: 'the origin of PUBLIC_URL; outside production also pages on localhost',
    example: 'https://example.com, https://www.example.com',
  },
  HOOK_ALLOW_HOSTS: {
    meaning: 'hosts of hooks that may be inside your network and use http, separated by commas',
    fallback: '',
    example: 'ntfy.lan, 192.168.1.20',
  },
  TRUST_PROXY: {
    meaning: 'number of proxies in front of the server; each must add to `X-Forwarded-For`',
    fallback: '0',
    example: '1',
  },
  RATE_LIMIT: {
    meaning:
      'stored posts per client address and time (`s`, `m`, `h` or `d`), or `off`; ten times as many requests are allowed',
    fallback: '10/1m',
    example: '30/1h',
  },
  REDIS_URL: {
    meaning:
      'Redis, to share the limits among several servers; without it, or while it is away, each server counts alone',
    fallback: 'each server counts alone',
    example: 'rediss://:password@redis.example.com:6379',
    secret: true,
  },
  ENCRYPTION_KEYS: {
    meaning: 'keys that encrypt the data of visitors: `id:base64key`, newest first, separated by commas',
    fallback: 'generated in DATA_DIR at the first start',
    // Not valid on purpose: an example must not work as a secret.
    example: 'k20261122:<32 bytes in base64>',
    secret: true,
    production: true,
  },
  RETENTION_DAYS: {
    meaning: 'days to keep messages, `0` for ever; a form can have its own number',
    fallback: '0',
    example: '365',
  },
  TIME_ZONE: {
    meaning: 'the time zone of times in mails and on pages; commands use that of their terminal',
    fallback: 'UTC',
    example: 'Europe/Berlin',
  },
  LANGUAGE: {
    meaning: 'the language of mails and of pages for visitors: `en` or `de`; a form can have its own',
    fallback: 'en',
    example: 'de',
  },
  DKIM_SELECTOR: {
    meaning: 'name of the DKIM key that your mail service signs with, for `health --deep`',
    fallback: 'common names are tried',
    example: 's20261122',
  },
  DNS_SERVER: {
    meaning: 'DNS server for `health --deep`: an IP address, maybe with a port',
    fallback: "the system's",
    example: '9.9.9.9',
  },
  METRICS_TOKEN: {
    meaning: 'bearer token for `/metrics`, which does not exist without it',
    fallback: '',
    example: '<16 or more random characters>',
    secret: true,
  },
  ALERT_URL: {
    meaning:
      'a chat or push service that is told when mail is in trouble: an incoming address of Slack, Discord, Telegram (`…/sendMessage?chat_id=…`) or ntfy.sh; for another host, `slack+`, `ntfy+` or `apprise+` stands before it',
    fallback: '',
    example: 'ntfy+https://push.example.com/a-secret-topic',
    secret: true,
  },
  ALERT_TO: {
    meaning: 'an address that is told the same by mail; its mailbox should be on another mail server than SMTP_HOST',
    fallback: '',
    example: 'operator@example.org',
  },
  LOG_LEVEL: { meaning: '`trace`, `debug`, `info`, `warn`, `error` or `silent`', fallback: 'info', example: 'debug' },
  LOG_FORMAT: {
    meaning: '`json` or `pretty`; the log goes to stderr',
    fallback: '`pretty` on a terminal, else `json`',
    example: 'json',
  },
} as const satisfies Record<string, Variable>;

export type VariableName = keyof typeof variables;

export const variableNames = Object.keys(variables) as VariableName[];

export function variable(name: VariableName): Variable {
  return variables[name];
}
