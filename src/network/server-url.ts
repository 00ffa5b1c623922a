/**
 * Why a server's URL cannot be used or is not the one that was meant, as the end of the sentence "It …". In a password, an
 * unescaped `#`, `/` or `?` ends the host: then what follows the `@` is no host at all.
 *
 * @returns undefined if the URL has no such mistake.
 */
export function explainUnusable(text: string): string | undefined {
  const [, authority = '', rest = ''] = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)(.*)$/is.exec(text) ?? [];
  const isCut = authority.includes('@')
    ? /^(?:[^?]*|\/?\?.*)@[^@/]*\//.test(rest)
    : rest.includes('@') && (authority.includes(':') || !/^\/[^?#]/.test(rest));
  if (!isCut && !rest.includes('#')) {
    const isList = authority.slice(authority.lastIndexOf('@') + 1).includes(',');
    return isList ? 'names several hosts: name one, the primary or a proxy that finds it' : undefined;
  }
  return 'has an unescaped character in the password or a name: write # as %23, / as %2F, ? as %3F and @ as %40';
}

/** A folder of PostgreSQL's sockets, as a host. */
export const socketFolderHint =
  'write the folder of a socket as the host, as in postgresql://user@%2Frun%2Fpostgresql/name';
