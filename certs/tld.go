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
const publicTLDs = " " +
	"aero agency android app apple art asia audio author auto autos baby band bar beauty beer best bid bike bio " +
	"biz black blog blue boo book bot boutique box broker brother build business cab cafe call cam camera camp " +
	"canon car cards care career cars casa cash cat center ceo chat cheap chrome church cisco city cleaning click " +
	"clinic clothing cloud club coach codes coffee college com community company computer construction consulting " +
	"contact cool coop crown cyou dad dance data date day deal deals delivery dell delta dental design dev " +
	"diamonds diet digital direct directory discount doctor dog domains dot download drive earth eat eco edu " +
	"education email energy engineer engineering enterprises epson equipment esq events exchange expert express " +
	"family fan fans farm fashion fast feedback film final finance fire fish fit fitness flickr flowers fly foo " +
	"food football forex forum foundation fox free fujitsu fun fund furniture fyi gallery game games garden gay " +
	"gift gifts glass gold golf google gov graphics green group guide guitars guru hair hangout health " +
	"healthcare help here hitachi hiv hockey holdings holiday homes horse hospital host hosting hot hotels house " +
	"how hyundai ibm ice icu inc info ink institute insurance int international jaguar java jeep jobs joy juniper " +
	"kia kids kim kindle kitchen kiwi land law lawyer legal lego lexus lgbt life lighting like limited link live " +
	"llc loan locker lol london lotte love ltd luxe luxury man management mango map market marketing markets mba " +
	"med media meet meme memorial men menu miami microsoft mil mini mint mobi mobile moda moe mom money monster " +
	"moto mov movie museum music name navy nec net network new news next nexus ngo nikon ninja nokia norton now " +
	"obi office one onl online ooo open oracle orange org organic page panasonic paris partners parts party pay " +
	"pet phd philips phone photo photography photos pics pictures pid pin ping pink pioneer pizza place play " +
	"playstation plus poker post press prime pro prod productions prof property protection pub racing radio read " +
	"red ren rent repair report rest restaurant review reviews rich ricoh rio rip rocks room rugby run safe safety " +
	"sakura sale salon samsung sap save school science search secure security select services seven sew sex sharp " +
	"shell shoes shop shopping show silk singles site ski skin sky smart smile social software solar solutions " +
	"sony spa space sport spot star storage store stream studio study style supply support surf surgery suzuki " +
	"swiss systems tab taipei talk target tattoo tax taxi team tech technology tel tennis theater tiffany tips " +
	"tires today tokyo tools top toshiba total tours town toyota toys trade trading training travel tube tunes " +
	"university uno verisign vet video viking villas vin vip visa vision viva volvo vote voyage wang watch watches " +
	"weather webcam weber website wedding wiki win windows wine winners work works world wow wtf xbox xerox xin " +
	"xxx xyz yachts yandex yoga you yun zara zero zip zone "
