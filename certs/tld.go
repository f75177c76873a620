package certs

import "strings"

// isPublicTLD reports whether a name is a top-level domain of the internet.
// Permitting one would let the authority speak for every site below it, and it
// happens by accident: a machine called "dev" or "studio" has a top-level
// domain as its host name. All names of two letters belong to countries (ISO
// 3166, RFC 1591 §2); of the others, those a machine or a home network is
// likely to be called are listed.
func isPublicTLD(name string) bool {
	if strings.Contains(name, ".") {
		return false
	}
	return len(name) == 2 || strings.HasPrefix(name, "xn--") || strings.Contains(publicTLDs, " "+name+" ")
}

// publicTLDs is from the IANA root zone database, as words between spaces.
const publicTLDs = " aero agency app art asia auto baby band bar best bid bike bio biz black blog blue boo bot box build " +
	"business cab cafe cam camera camp care cars casa cash cat center ceo chat cheap church city click clinic cloud club coach " +
	"codes coffee college com community company computer construction consulting contact cool coop cyou dad dance data date day " +
	"deal deals delivery demo design dev diamonds digital direct directory dog domains dot download earth eco edu education " +
	"email energy engineer engineering enterprises esq events exchange expert express family fan fans farm film finance fire " +
	"fish fit flowers fly foo football forum foundation free fun fund fyi gallery game games garden gay gift gold golf gov " +
	"graphics green group guide guru hair health help here hiv holiday homes horse host hosting hot house how icu inc info " +
	"ink institute int international jobs joy kids kim kitchen land law lawyer legal lgbt life like link live llc loan lol " +
	"love ltd luxe management market marketing mba med media meet meme memorial men menu mil mini mobi moda moe mom money " +
	"moto mov movie museum music name navy net network new news ngo ninja now one onl online ooo open org page paris partners " +
	"parts party pay pet phd phone photo photography photos pics pictures pid pink pizza place play plus poker post press prime " +
	"pro prod productions property pub radio read red rent repair report rest review reviews rich rip rocks room run safe sale " +
	"save school science search secure security services sex shop show singles site ski sky smart social software solar " +
	"solutions space spot store storage stream studio study style supply support surf systems talk tattoo tax taxi team tech " +
	"technology tel theater tips today tools top tours town toys trade training travel tube university uno vip video vision " +
	"vote voyage wang watch weather webcam website wedding wiki win wine work works world wow wtf xin xxx xyz yachts yoga " +
	"you zero zip zone "
