"""Country codes of ISO 3166-1 alpha-2, as `allowedCheckCountryCodes` takes them."""

from __future__ import annotations

import re

from domain.errors import InvalidValueError

CODES = frozenset(
    re.findall(
        "[A-Z]{2}",
        """
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR
    BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ
    EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW
    GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY
    KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV
    MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY
    QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG
    TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM
    ZW
    """,
    )
)


def parse_country_codes(value: object) -> list[str] | None:
    """Return upper-case codes without repeats, in the order given; an empty list is null.

    Contract C-7. Raises InvalidValueError on anything but a list of known codes.
    """
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise InvalidValueError("type", "must be a list of country codes, or null")
    codes = list(dict.fromkeys(each.strip(" ").upper() for each in value))
    # Outside ASCII, upper-casing makes letters of something else: a sharp s would be SS.
    if not CODES.issuperset(codes) or not all(each.isascii() for each in value):
        raise InvalidValueError("invalid", "must hold two-letter country codes of ISO 3166-1")
    return codes or None
