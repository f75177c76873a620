// Package certs is the local certificate authority of one person on one
// machine. It is made once, kept in one folder, and signs certificates for
// development servers while they run, so that every address the machine has
// works over HTTPS the moment a device trusts one root.
//
// # What the authority is
//
// The authority is a root certificate, an intermediate certificate signed by
// it, and the intermediate's private key. A device is told to trust the root.
// The intermediate signs the certificates that servers show ("leaves"), and a
// server sends the intermediate along with each leaf, so that nothing but the
// root needs installing. All keys are ECDSA on P-256, which every browser and
// every phone accepts. The root and the intermediate are good for ten years, a
// leaf for at most 90 days, and leaves are made anew in memory, so in daily
// use nothing expires. A leaf is for a server or for a client, never for both.
// One whose key is elsewhere comes from a certificate request, of which only the
// key and the names count ([Authority.SignRequest]).
//
// # Why the root's key is discarded
//
// A root key would only be needed to sign a second intermediate, which never
// happens: a lost or stolen authority is replaced as a whole. So the root's key
// exists in memory for as long as it takes to sign two certificates and is
// never written to disk. What cannot be found cannot be stolen, and since
// nobody holds the key, nobody can sign a second intermediate whose limits
// are wider. That is what makes the limits of the next section hold: some
// clients (Java's) ignore constraints written in a root and honour only those of
// an intermediate, and there is no way to get another one.
//
// # What name constraints buy
//
// A trusted root can normally speak for every site there is, so a stolen
// development key would let the thief be its owner's bank. Here both
// certificates carry critical name constraints (RFC 5280 §4.2.1.10): they may
// speak for localhost, for names below .local, .test, .internal, .home.arpa and
// .lan, for the host name the authority was made with, for private IP
// addresses, and for what was explicitly added (Options.Permit). Clients
// enforce this and refuse anything else, whoever signed it. The intermediate is
// also limited to TLS by its extended key usage, so that its key is of no use
// for mail or code signing. [Authority.Permits] applies the same rules before
// signing, since crypto/x509 applies them only when it verifies.
//
// # What leaves the folder
//
// The root and the intermediate are public, and [Authority.Export] writes them
// in every form that devices and programs ask for. A leaf goes with its own key
// ([WritePair], [EncodePKCS12]). The intermediate's key is in no export, no error
// and nothing that is printed; a test looks for it in all of them. It is not used
// when its file is another user's or open to others, and the error says how to
// mend that.
//
// # The store
//
// The folder holds root.pem, intermediate.pem and intermediate-key.pem. It is
// written under a temporary name beside its place and then renamed: the rename
// is the one moment at which the authority begins to exist. A process killed
// earlier leaves nothing that could be mistaken for an authority, and of two
// processes that start together one wins the rename and the other loads what
// the winner made. After that, everything but [Replace] only reads the folder. A store
// that is damaged, expired or open to others is reported as a [StoreError],
// which names the file, the reason and the way out; it is never repaired, because
// a new root would have to be trusted again on every device and only a person can
// decide that. [OpenRoot] asks for less, so that the root of a store in any state
// can be removed from the places that trust it, and [Describe] tells what there is.
//
// That decision is [Replace]: it writes the new store beside the old one, moves
// the old one away, puts the new one in its place and deletes the old one with
// its key. Two processes that do so at once end with the same authority; one that
// is killed leaves the old one, none, or the new one, and a folder that the next
// [OpenOrCreate] deletes. An authority that ends within 60 days says so
// ([Authority.EndsSoon]), and no leaf outlives it.
//
// The folder is for its user only (mode 0700, the key 0600). The folder above it
// may be read by others, but must not be writable by them: they could put
// another authority in its place. A sticky folder like /tmp is accepted, since
// only the owner of a folder can rename it there.
//
// # Limits
//
// The constraints do not protect the names within them: whoever has the
// intermediate's key can be any .local host to the devices that trust the
// root. There is no revocation; the remedy for a stolen key is to remove the
// root from every device. Names must be ASCII: an internationalised name has to
// be given in its punycode form. Constraints limit DNS names and IP addresses,
// the only two kinds of name that TLS clients look at. On Windows, file
// permissions are left to the access control list of the user's own folder.
package certs
