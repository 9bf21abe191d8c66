import java.io.BufferedReader;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Date;
import java.util.List;
import java.util.SimpleTimeZone;
import java.util.TimeZone;
import java.util.TreeSet;

import org.eclipse.jgit.internal.storage.io.BlockSource;
import org.eclipse.jgit.internal.storage.reftable.LogCursor;
import org.eclipse.jgit.internal.storage.reftable.MergedReftable;
import org.eclipse.jgit.internal.storage.reftable.RefCursor;
import org.eclipse.jgit.internal.storage.reftable.Reftable;
import org.eclipse.jgit.internal.storage.reftable.ReftableConfig;
import org.eclipse.jgit.internal.storage.reftable.ReftableReader;
import org.eclipse.jgit.internal.storage.reftable.ReftableWriter;
import org.eclipse.jgit.lib.ObjectId;
import org.eclipse.jgit.lib.ObjectIdRef;
import org.eclipse.jgit.lib.PersonIdent;
import org.eclipse.jgit.lib.Ref;
import org.eclipse.jgit.lib.ReflogEntry;
import org.eclipse.jgit.lib.SymbolicRef;

/**
 * Writes and reads tables with JGit, as lines on standard input ask for it; tabs are between fields. tests/jgit_agrees.rs drives it.
 *
 * <pre>
 * write PATH MIN MAX REF_BLOCK LOG_BLOCK RESTART LEVELS ALIGN OBJECTS    then rows, then "end"
 * read PATH...                                                           oldest table first
 * </pre>
 *
 * A row is "ref NAME INDEX id HEX", "ref NAME INDEX tag HEX PEELED", "ref NAME INDEX sym NAME", "ref NAME INDEX none", "log NAME INDEX OLD
 * NEW WHO EMAIL SECONDS MINUTES MESSAGE" or "log NAME INDEX none"; a message without its last newline. Reading prints the same rows, then "at HEX NAME..." for each id, then
 * "end". Looking up single names must agree with the listing, or it ends with an error.
 */
public final class Tables {
    private static final PrintStream OUT = new PrintStream(System.out, false, StandardCharsets.UTF_8);

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] words = line.split("\t", -1);
            if (words[0].equals("write")) {
                write(words, in);
            } else if (words[0].equals("read")) {
                read(words);
            } else {
                throw new IllegalArgumentException(line);
            }
            OUT.println("end");
            OUT.flush();
        }
    }

    private static void write(String[] words, BufferedReader in) throws IOException {
        ReftableConfig config = new ReftableConfig();
        config.setRefBlockSize(Integer.parseInt(words[4]));
        config.setLogBlockSize(Integer.parseInt(words[5]));
        config.setRestartInterval(Integer.parseInt(words[6]));
        config.setMaxIndexLevels(Integer.parseInt(words[7]));
        config.setAlignBlocks(words[8].equals("true"));
        config.setIndexObjects(words[9].equals("true"));
        try (OutputStream file = new FileOutputStream(words[1])) {
            ReftableWriter writer = new ReftableWriter(config);
            writer.setMinUpdateIndex(Long.parseLong(words[2])).setMaxUpdateIndex(Long.parseLong(words[3]));
            writer.begin(file);
            for (String line = in.readLine(); !line.equals("end"); line = in.readLine()) {
                String[] row = line.split("\t", -1);
                if (row[0].equals("ref")) {
                    writer.writeRef(ref(row), Long.parseLong(row[2]));
                } else if (row[3].equals("none")) {
                    writer.deleteLog(row[1], Long.parseLong(row[2]));
                } else {
                    PersonIdent who = new PersonIdent(row[5], row[6], new Date(1000 * Long.parseLong(row[7])), zone(row[8]));
                    ObjectId old = ObjectId.fromString(row[3]);
                    writer.writeLog(row[1], Long.parseLong(row[2]), who, old, ObjectId.fromString(row[4]), row[9]);
                }
            }
            writer.finish();
        }
    }

    private static TimeZone zone(String minutes) {
        return new SimpleTimeZone(60_000 * Integer.parseInt(minutes), "as written");
    }

    private static Ref ref(String[] row) {
        switch (row[3]) {
        case "id":
            return new ObjectIdRef.PeeledNonTag(Ref.Storage.PACKED, row[1], ObjectId.fromString(row[4]));
        case "tag":
            ObjectId peeled = ObjectId.fromString(row[5]);
            return new ObjectIdRef.PeeledTag(Ref.Storage.PACKED, row[1], ObjectId.fromString(row[4]), peeled);
        case "sym":
            return new SymbolicRef(row[1], new ObjectIdRef.Unpeeled(Ref.Storage.NEW, row[4], null));
        default:
            return new ObjectIdRef.Unpeeled(Ref.Storage.NEW, row[1], null);
        }
    }

    private static void read(String[] words) throws IOException {
        List<Reftable> tables = new ArrayList<>();
        for (int i = 1; i < words.length; i++) {
            Reftable one = new ReftableReader(BlockSource.from(Files.readAllBytes(Paths.get(words[i]))));
            // A look-up reads the footer. Without it a listing runs on into the logs, in tables of JGit's own, too.
            one.seekRef("HEAD").close();
            tables.add(one);
        }
        Reftable table = tables.size() == 1 ? tables.get(0) : new MergedReftable(tables);
        table.setIncludeDeletes(tables.size() == 1);
        TreeSet<String> ids = new TreeSet<>();
        try (RefCursor refs = table.allRefs()) {
            while (refs.next()) {
                String row = row(refs);
                OUT.println(row);
                note(ids, refs.getRef());
                check(table, refs.getRef().getName(), row);
            }
        }
        try (LogCursor logs = table.allLogs()) {
            while (logs.next()) {
                OUT.println(row(logs));
            }
        }
        for (String id : ids) {
            StringBuilder line = new StringBuilder("at\t" + id);
            try (RefCursor refs = table.byObjectId(ObjectId.fromString(id))) {
                while (refs.next()) {
                    line.append('\t').append(refs.getRef().getName());
                }
            }
            OUT.println(line);
        }
    }

    private static void check(Reftable table, String name, String row) throws IOException {
        try (RefCursor found = table.seekRef(name)) {
            if (!found.next() || !row(found).equals(row)) {
                throw new IOException("a look-up does not find what the listing has: " + row);
            }
        }
    }

    private static void note(TreeSet<String> ids, Ref ref) {
        if (!ref.isSymbolic() && ref.getObjectId() != null) {
            ids.add(ref.getObjectId().name());
            if (ref.getPeeledObjectId() != null) {
                ids.add(ref.getPeeledObjectId().name());
            }
        }
    }

    private static String row(RefCursor refs) {
        Ref ref = refs.getRef();
        String head = "ref\t" + ref.getName() + "\t" + refs.getUpdateIndex() + "\t";
        if (ref.isSymbolic()) {
            return head + "sym\t" + ref.getTarget().getName();
        } else if (ref.getObjectId() == null) {
            return head + "none";
        } else if (ref.getPeeledObjectId() != null) {
            return head + "tag\t" + ref.getObjectId().name() + "\t" + ref.getPeeledObjectId().name();
        }
        return head + "id\t" + ref.getObjectId().name();
    }

    private static String row(LogCursor logs) {
        String head = "log\t" + logs.getRefName() + "\t" + logs.getUpdateIndex() + "\t";
        ReflogEntry entry = logs.getReflogEntry();
        if (entry == null) {
            return head + "none";
        }
        PersonIdent who = entry.getWho();
        // The time zone is taken from the two bytes after it.
        String when = who.getWhen().getTime() / 1000 + "\t0";
        String ids = entry.getOldId().name() + "\t" + entry.getNewId().name();
        String message = entry.getComment().replaceFirst("\n$", "");
        return head + ids + "\t" + who.getName() + "\t" + who.getEmailAddress() + "\t" + when + "\t" + message;
    }
}
