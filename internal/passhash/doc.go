// Package passhash turns passwords into hashes and checks passwords against hashes, its own and those of the systems
// people import their users from.
//
// It decides which encodings of a password hash can be read, what one may cost at most to check, how many are worked
// on at once, and whether a password is among the commonest ones.
//
// It never decides policy. How long a password must be, how it is normalised, when a hash is renewed and what an
// unknown user costs are rules of the root package, which passes password bytes that are already normalised. It never
// logs, and its errors never contain any part of a password, a salt or a hash.
//
// What it reads:
//
//	argon2id, argon2i  $argon2id$v=19$m=19456,t=2,p=1$salt$tag   {argon2}…  {argon2@SpringSecurity_v5_8}…  argon2$argon2id$…
//	bcrypt             $2a$ $2b$ $2y$   {bcrypt}$2a$…   bcrypt$$2b$…   bcrypt_sha256$$2b$…
//	scrypt             $scrypt$ln=16,r=8,p=1$salt$tag   {scrypt}$e0801$salt$tag   scrypt$16384$salt$8$5$tag
//	PBKDF2             pbkdf2_sha256$1000000$salt$tag   pbkdf2_sha1$…   {pbkdf2}hex   {pbkdf2@SpringSecurity_v5_8}hex
//
// The braces are Spring Security's, the leading names without a dollar sign are Django's.
//
// Only the root package, and bench, may import it. It imports nothing of this module.
package passhash
