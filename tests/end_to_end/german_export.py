"""An export of customer messages as a German Excel writes it: semicolons, WINDOWS-1252, decimal commas, a title row."""

import datetime
from pathlib import Path

import xlsxwriter

HEADER = ("Datum", "Kunde", "Betreff", "Nachricht", "Bestellwert", "Kategorie")
TITLE = "Kundenanfragen 1. Quartal"

DELIVERY = """Paket fehlt|Mein Paket ist seit zwei Wochen unterwegs und nicht angekommen.
Wo ist meine Lieferung?|Die Sendung sollte am Montag kommen, bisher ist nichts da.
Falsche Adresse|Der Bote hat das Paket beim falschen Nachbarn abgegeben.
Sendung verspätet|Laut Sendungsverfolgung liegt das Paket noch immer im Lager.
Lieferung unvollständig|Von den drei bestellten Büchern lagen nur zwei im Paket.
Paket beschädigt|Der Karton war beim Zustellen völlig durchnässt und aufgerissen.
Lieferzeit|Wie lange dauert der Versand nach Österreich normalerweise?
Zustellung verpasst|Ich war nicht zu Hause, wann kommt der Bote wieder?
Abholung in der Filiale|In der Filiale konnte man mein Paket nicht finden.
Nicht angekommen|Die Bestellung von letzter Woche ist immer noch nicht da.
Express|Trotz Expressversand kam die Lieferung vier Tage zu spät.
Neue Adresse|Bitte schicken Sie das Paket an meine neue Anschrift in Köln.
Verfolgung|Die Sendungsnummer funktioniert auf der Seite des Paketdienstes nicht.
Bote|Der Fahrer hat nicht geklingelt, sondern nur eine Karte eingeworfen.
Verschwunden|Das Paket wurde angeblich zugestellt, aber niemand hat es erhalten.
Versand|Können Sie die Bestellung noch heute verschicken?
Speditionstermin|Die Spedition hat den vereinbarten Termin für das Sofa nicht eingehalten.
Teillieferung|Warum kommt meine Bestellung in zwei getrennten Sendungen?
Paketshop|Das Paket liegt in einem Paketshop am anderen Ende der Stadt.
Rückversand|Mein Rückpaket ist laut Verfolgung noch nicht bei Ihnen angekommen.
Zoll|Die Sendung in die Schweiz hängt seit Tagen beim Zoll fest."""

BILLING = """Doppelt abgebucht|Der Betrag wurde zweimal von meinem Konto abgebucht.
Rechnung falsch|Auf der Rechnung steht ein höherer Preis als im Angebot.
Gutschein|Mein Gutschein über zehn Euro wurde nicht abgezogen.
Erstattung|Wann bekomme ich das Geld für die stornierte Bestellung zurück?
Mahnung|Ich habe eine Mahnung erhalten, obwohl ich längst bezahlt habe.
Rechnung fehlt|Bitte senden Sie mir die Rechnung für die Buchhaltung als PDF.
Kreditkarte|Meine Kreditkarte wurde mit dem falschen Betrag belastet.
Mehrwertsteuer|Die Mehrwertsteuer ist auf der Rechnung nicht ausgewiesen.
Ratenzahlung|Kann ich den Betrag in drei Raten bezahlen?
Lastschrift|Bitte ziehen Sie den Betrag erst am Monatsende ein.
Zahlung abgelehnt|Die Zahlung mit der Karte wurde ohne Grund abgelehnt.
Gutschrift|Die versprochene Gutschrift ist noch nicht auf meinem Konto.
Firmenadresse|Auf der Rechnung muss der Name unserer Firma stehen.
Überweisung|Ich habe versehentlich zu viel überwiesen, bitte erstatten Sie den Rest.
Preis|Warum kostet der Artikel auf der Rechnung zwölf Euro mehr?
Skonto|Bei Zahlung binnen einer Woche waren zwei Prozent Skonto vereinbart.
Gebühr|Wofür wird mir eine Gebühr von fünf Euro berechnet?
Kontodaten|Meine Bankverbindung hat sich geändert, bitte buchen Sie vom neuen Konto ab.
Storno|Die Bestellung ist storniert, trotzdem wurde der Betrag eingezogen.
Rabatt|Der Rabatt für Stammkunden fehlt auf meiner letzten Rechnung.
PayPal|Die Zahlung über PayPal ist durchgegangen, gilt aber noch als offen."""

PRODUCT = """Gerät defekt|Der Wasserkocher schaltet sich nach einer Minute von selbst aus.
Akku|Der Akku des Staubsaugers hält nur noch fünf Minuten.
Falsche Größe|Die Schuhe fallen viel kleiner aus als angegeben.
Kratzer|Das Gehäuse der Kamera hat einen tiefen Kratzer.
Bedienung|Wie stelle ich bei der Kaffeemaschine die Wassermenge ein?
Farbe|Die Jacke ist dunkelgrün und nicht blau wie auf dem Bild.
Ersatzteil|Gibt es für den Mixer einen neuen Deckel als Ersatzteil?
Geräusch|Der Kühlschrank brummt nachts sehr laut.
Nähte|Die Nähte der Tasche sind nach einer Woche aufgegangen.
Anleitung|In der Schachtel fehlt die Anleitung auf Deutsch.
Display|Das Display der Waage bleibt auch mit neuen Batterien dunkel.
Garantie|Gilt die Garantie auch für den Motor des Rasenmähers?
Passt nicht|Das Kabel passt nicht in die Buchse des Druckers.
Geruch|Der neue Teppich riecht auch nach dem Lüften stark nach Chemie.
Programm|Die Waschmaschine bleibt im Kurzprogramm immer stehen.
Material|Ist der Pullover aus reiner Wolle oder mit Kunststoff gemischt?
Tonqualität|Der linke Kopfhörer ist deutlich leiser als der rechte.
Undicht|Die Thermosflasche ist undicht und läuft im Rucksack aus.
Montage|Beim Regal fehlen vier Schrauben und ein Brett ist zu kurz.
Update|Seit dem Update verbindet sich die Uhr nicht mehr mit dem Telefon.
Scharfe Kante|Am Griff der Pfanne ist eine scharfe Kante, man schneidet sich."""

NEW = """Paket|Mein Paket ist noch nicht angekommen, wo ist die Sendung?
Rechnung|Der Betrag auf der Rechnung ist falsch, bitte um Erstattung.
Akku defekt|Der Akku der Kamera ist defekt, gilt die Garantie?
=Nachfrage|Wann kommt der Bote mit der Lieferung?
+Gutschein|Der Gutschein wurde auf der Rechnung nicht abgezogen.
|
xx|qwrtz pflmpf
Schrauben|Beim Regal fehlen Schrauben, gibt es ein Ersatzteil?
Konto|Zweimal vom Konto abgebucht, wann kommt das Geld zurück?"""

CUSTOMERS = ("Jürgen Weiß", "Anja Groß", "Öztürk, Deniz", "Müller GmbH", "Zoë Brandt", "Hans-Peter Kühn")


def labelled():
    """The labelled messages, with the categories in turns."""
    blocks = [[line.split("|") for line in block.splitlines()] for block in (DELIVERY, BILLING, PRODUCT)]
    for number, messages in enumerate(zip(*blocks, strict=True)):
        for label, message in zip(("Lieferung", "Rechnung", "Produkt"), messages, strict=True):
            yield [*beginning(number), *message, 19.9 + 7.35 * number, label]


def new():
    """Messages without a category, one of them empty and one without a word."""
    for number, line in enumerate(NEW.splitlines()):
        yield [*beginning(number + 40), *line.split("|"), 9.5 * number, ""]


def beginning(number):
    return [datetime.date(2026, 1, 2) + datetime.timedelta(days=number), CUSTOMERS[number % len(CUSTOMERS)]]


def shown(value):
    """A cell as a German Excel exports it."""
    if isinstance(value, datetime.date):
        value = value.strftime("%d.%m.%Y")
    elif isinstance(value, float):
        value = f"{value:.2f}".replace(".", ",")
    return f'"{value.replace(chr(34), 2 * chr(34))}"' if set(value) & set(';"\n') else value


def write_csv(path, rows, encoding="cp1252"):
    lines = [";".join(map(shown, row)) for row in (HEADER, *rows)]
    Path(path).write_bytes("".join(f"{line}\r\n" for line in lines).encode(encoding))


def write_xlsx(path, rows):
    with xlsxwriter.Workbook(path, {"strings_to_formulas": False}) as book:
        book.set_properties({"created": datetime.datetime(2026, 4, 1)})
        notes = book.add_worksheet("Hinweise")
        notes.write(0, 0, "Export aus dem Kundendienst")
        sheet = book.add_worksheet("Anfragen")
        date = book.add_format({"num_format": "dd.mm.yyyy"})
        sheet.write(0, 0, TITLE)
        sheet.write_row(2, 0, HEADER)
        for number, row in enumerate(rows, start=3):
            for column, value in enumerate(row):
                if isinstance(value, datetime.date):
                    sheet.write_datetime(number, column, value, date)
                else:
                    sheet.write(number, column, value)


if __name__ == "__main__":
    FOLDER = Path(__file__).parents[2] / "data" / "inquiries"
    write_csv(FOLDER / "inquiries.csv", labelled())
    write_csv(FOLDER / "new.csv", new())
    write_xlsx(FOLDER / "inquiries.xlsx", labelled())
    write_xlsx(FOLDER / "new.xlsx", new())
