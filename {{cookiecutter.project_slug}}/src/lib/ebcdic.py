"""Adds the encoding cp1047 to Python: the EBCDIC of Unix System Services on z/OS.

It has the characters of cp037, six of them in other places, see
https://www.ibm.com/docs/en/zos-basic-skills?topic=mainframe-ebcdic-character-set
"""

import codecs

NAMES = ("cp1047", "ibm1047", "ibm_1047")
MOVED = {0x5F: "^", 0xAD: "[", 0xB0: "¬", 0xBA: "Ý", 0xBB: "¨", 0xBD: "]"}
TABLE = "".join(MOVED.get(code, bytes([code]).decode("cp037")) for code in range(256))
CODES = codecs.charmap_build(TABLE)


class _Decoder(codecs.IncrementalDecoder):
    def decode(self, data: bytes, final: bool = False) -> str:  # type: ignore[override]
        return codecs.charmap_decode(data, self.errors, TABLE)[0]


def _find(name: str) -> codecs.CodecInfo | None:
    if name.replace("-", "_") not in NAMES:
        return None
    return codecs.CodecInfo(
        name=NAMES[0],
        encode=lambda text, errors="strict": codecs.charmap_encode(text, errors, CODES),
        decode=lambda data, errors="strict": codecs.charmap_decode(data, errors, TABLE),
        incrementaldecoder=_Decoder,
    )


codecs.register(_find)
