/** Codes of OpenSSL and Node for a wrong certificate or a failed handshake. */
const tlsCodes =
  /^(?:ERR_TLS_|ERR_SSL_|ERR_OSSL_|CERT_|CRL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERROR_IN_|INVALID_|PATH_LENGTH_|HOSTNAME_MISMATCH|EPROTO$)/;

export function isTlsError(code: string): boolean {
  return tlsCodes.test(code);
}
