// JGit as a driver of reftable-stress: speaks the lines of docs/bench.md.
//
//     jars=/usr/share/java/org.eclipse.jgit.jar:/usr/share/java/slf4j-api.jar:/usr/share/java/javaewah.jar
//     javac -cp $jars -d /tmp/jgit stress/drivers/JgitDriver.java
//     reftable-stress --ref-format files --config core.logAllRefUpdates=true \
//         --line-driver "3:exec java -cp /tmp/jgit:$jars JgitDriver"
//
// Stores of reftables in files are JGit's since 5.6: an older jar (Debian's is 4.11) does not open
// such a repository. That one does not know core.logAllRefUpdates=always either.

import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.List;
import org.eclipse.jgit.lib.BatchRefUpdate;
import org.eclipse.jgit.lib.NullProgressMonitor;
import org.eclipse.jgit.lib.ObjectId;
import org.eclipse.jgit.lib.Ref;
import org.eclipse.jgit.lib.Repository;
import org.eclipse.jgit.revwalk.RevWalk;
import org.eclipse.jgit.storage.file.FileRepositoryBuilder;
import org.eclipse.jgit.transport.ReceiveCommand;

public final class JgitDriver {
    private static ObjectId value(String text) {
        return text.equals("-") ? ObjectId.zeroId() : ObjectId.fromString(text);
    }

    private static String commit(Repository repository, List<ReceiveCommand> changes) throws Exception {
        BatchRefUpdate batch = repository.getRefDatabase().newBatchUpdate();
        batch.setAtomic(true);
        batch.setAllowNonFastForwards(true);
        batch.addCommand(changes);
        try (RevWalk walk = new RevWalk(repository)) {
            batch.execute(walk, NullProgressMonitor.INSTANCE);
        }
        String refused = null;
        boolean done = true;
        for (ReceiveCommand change : batch.getCommands()) {
            if (change.getResult() != ReceiveCommand.Result.OK) {
                done = false;
                refused = change.getResult() + " " + change.getMessage();
            }
        }
        return done ? "ok" : "refused " + refused.replace('\n', ' ');
    }

    private static void list(Repository repository, String prefix, StringBuilder out) throws Exception {
        for (Ref ref : repository.getRefDatabase().getRefs(prefix).values()) {
            out.append(ref.getObjectId().name()).append(' ').append(ref.getName()).append('\n');
        }
        out.append("end\n");
    }

    public static void main(String[] args) throws Exception {
        String gitDir = System.getenv("STRESS_GIT_DIR");
        Repository repository = new FileRepositoryBuilder().setGitDir(new File(gitDir)).build();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        List<ReceiveCommand> changes = new ArrayList<>();
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] words = line.split(" ");
            StringBuilder out = new StringBuilder();
            try {
                if (words[0].equals("change")) {
                    changes.add(new ReceiveCommand(value(words[2]), value(words[3]), words[1]));
                    continue;
                } else if (words[0].equals("commit")) {
                    List<ReceiveCommand> asked = changes;
                    changes = new ArrayList<>();
                    out.append(commit(repository, asked)).append('\n');
                } else {
                    list(repository, words[1], out);
                }
            } catch (Exception error) {
                String said = String.valueOf(error).replace('\n', ' ');
                out.setLength(0);
                out.append(words[0].equals("list") ? "refused " : "unknown ").append(said).append('\n');
            }
            System.out.print(out);
            System.out.flush();
        }
    }
}
