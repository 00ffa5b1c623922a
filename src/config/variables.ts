/** One environment variable, as the documentation and error messages describe it. */
export interface Variable {
  meaning: string;
  /** What is used without it; empty where there is none. */
  fallback: string;
  example: string;
  /** Shown masked, and readable from a file named by `NAME_FILE`. */
  secret?: true;
  /** Required with `NODE_ENV=production`. */
  production?: true;
}

/** Every variable that this program reads. */
export const variables = {
  NODE_ENV: {
    meaning: '`production` asks for every required setting and makes no keys by itself',
    fallback: 'development',
    example: 'production',
  },
  HOST: { meaning: 'where to listen', fallback: '127.0.0.1', example: '0.0.0.0' },
  PORT: { meaning: 'where to listen; 0 picks a free port and prints it', fallback: '3000', example: '8080' },
  PUBLIC_URL: {
    meaning: 'the address the world uses; links are built from it',
    fallback: 'http://localhost:$PORT',
    example: 'https://forms.example.com',
    production: true,
  },
  DATABASE_URL: {
    meaning:
      'PostgreSQL 15 or newer (its parameters `sslmode` and `sslrootcert` mean what they mean to libpq; others are refused); `embedded` asks for the embedded one',
    fallback: 'embedded',
    example: 'postgresql://ruffinweb:password@db.example.com/ruffinweb?sslmode=verify-full',
    secret: true,
    production: true,
  },
  DATA_DIR: {
    meaning: 'embedded database, `.eml` files, generated keys',
    fallback: './data',
    example: '/var/lib/ruffinweb',
  },
  SMTP_HOST: {
    meaning: 'the server that takes outgoing mail; without it mail is written as `.eml` files',
    fallback: '.eml files in DATA_DIR/mail',
    example: 'smtp.example.com',
    production: true,
  },
  SMTP_PORT: {
    meaning: 'TLS from the start on 465, STARTTLS required on other ports, plain only to loopback',
    fallback: '465',
    example: '587',
  },
  SMTP_USER: { meaning: 'login at the mail server', fallback: '', example: 'forms@example.com' },
  SMTP_PASSWORD: { meaning: 'password of that login', fallback: '', example: 'app-password', secret: true },
  SMTP_CONNECTIONS: {
    meaning: 'how many mails each process sends at the same time, each over a connection of its own: 1 to 50',
    fallback: '10',
    example: '3',
  },
  SMTP_HELLO: {
    meaning: 'the name we give the mail server in EHLO; relays want one with a dot',
    fallback: "the machine's name, else the host of PUBLIC_URL, where they have a dot, else MAIL_FROM's domain",
    example: 'forms.example.com',
  },
  MAIL_FROM: {
    meaning: 'fixed From of every mail',
    fallback: 'SMTP_USER if it is an address',
    example: 'Example Contact <forms@example.com>',
    production: true,
  },
  NOTIFY_TO: {
    meaning: 'who is told about a new message; separate several by commas',
    fallback: 'owner@localhost',
    example: 'owner@example.com, office@example.com',
    production: true,
  },
  AUTO_REPLY: { meaning: 'whether senders get an automatic reply: `on` or `off`', fallback: 'on', example: 'off' },
  CAPTCHA: {
    meaning: 'what forms ask visitors for: `none`, `altcha`, `turnstile`, `hcaptcha` or `recaptcha`',
    fallback: 'none',
    example: 'altcha',
  },
  CAPTCHA_SITE_KEY: { meaning: "the hosted captcha's public key", fallback: '', example: '0x4AAAAAAA-site-key' },
  CAPTCHA_SECRET: { meaning: "the hosted captcha's secret", fallback: '', example: '0x4AAAAAAA-secret', secret: true },
  CAPTCHA_VERIFY_URL: {
    meaning: 'another address that checks solutions in the same protocol',
    fallback: "the provider's own",
    example: 'https://www.recaptcha.net/recaptcha/api/siteverify',
  },
  ALLOWED_HOSTS: {
    meaning:
      'names the server answers to, separated by commas, compared without port; `/livez` and `/readyz` answer to any',
    fallback: 'that of PUBLIC_URL and the loopback names',
    example: 'forms.example.com, 203.0.113.7',
  },
  ALLOWED_ORIGINS: {
    meaning:
      'origins whose pages may post and read answers, separated by commas; that of `PUBLIC_URL` always may, and a form can have its own instead',
    fallback: 'that of PUBLIC_URL; outside production any loopback origin too',
    example: 'https://example.com, https://www.example.com',
  },
  TRUST_PROXY: {
    meaning: 'number of proxies in front, each of which adds to `X-Forwarded-For`',
    fallback: '0',
    example: '1',
  },
  RATE_LIMIT: {
    meaning:
      'stored posts per client address and time (`s`, `m`, `h` or `d`); ten times as many requests are read; `off` for no limits',
    fallback: '10/1m',
    example: '30/1h',
  },
  REDIS_URL: {
    meaning: 'Redis in which several servers share the limits; without it, or while it is away, each counts for itself',
    fallback: 'each server for itself',
    example: 'rediss://:password@redis.example.com:6379',
    secret: true,
  },
  ENCRYPTION_KEYS: {
    meaning: 'keys that seal what visitors give: `id:base64key`, newest first, separated by commas',
    fallback: 'made in DATA_DIR on first start',
    example: 'k20261122:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=',
    secret: true,
    production: true,
  },
  RETENTION_DAYS: {
    meaning: 'days that messages are kept; `0` for ever, and a form can have its own instead',
    fallback: '0',
    example: '365',
  },
  DKIM_SELECTOR: {
    meaning: 'name of the DKIM key that the mail service signs with, for `health --deep`',
    fallback: 'the usual names are tried',
    example: 's20261122',
  },
  DNS_SERVER: {
    meaning: 'the DNS server that `health --deep` asks: an IP address, maybe with a port',
    fallback: "the system's own",
    example: '9.9.9.9',
  },
  METRICS_TOKEN: {
    meaning: 'bearer token for `/metrics`; without it there is no such route',
    fallback: '',
    example: 'a-long-random-text',
    secret: true,
  },
  LOG_LEVEL: {
    meaning: '`trace`, `debug`, `info`, `warn`, `error` or `silent`',
    fallback: 'info',
    example: 'debug',
  },
  LOG_FORMAT: {
    meaning: '`json` or `pretty`; logs go to stderr',
    fallback: '`pretty` on a terminal, else `json`',
    example: 'json',
  },
} as const satisfies Record<string, Variable>;

export type VariableName = keyof typeof variables;

export const variableNames = Object.keys(variables) as VariableName[];

export function variable(name: VariableName): Variable {
  return variables[name];
}
