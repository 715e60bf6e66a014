// A service that takes orders, and keeps those of rehearsals in a store of their own.
// java Shadow.java PORT MARK-KEY-FILE DATA-FOLDER

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.concurrent.Executors;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

public class Shadow {
    static final int BODY_BYTES_MAX = 16 * 1024;
    static byte[] key;
    static Path data;

    /** There is a mark, and it is not one of ours: no reason to write anything anywhere. */
    static class BadMark extends Exception {}

    public static void main(String[] args) throws IOException {
        key = Files.readAllBytes(Path.of(args[1]));
        data = Files.createDirectories(Path.of(args[2]));
        int port = Integer.parseInt(args[0]);
        var address = new InetSocketAddress(InetAddress.getLoopbackAddress(), port);
        var server = HttpServer.create(address, 64);
        server.setExecutor(Executors.newFixedThreadPool(4));
        server.createContext("/orders", Shadow::serve);
        server.start();
        System.out.println("http://127.0.0.1:" + server.getAddress().getPort());
    }

    static void serve(HttpExchange exchange) throws IOException {
        try (exchange) {
            take(exchange);
        }
    }

    static void take(HttpExchange exchange) throws IOException {
        try {
            String run = run(exchange);
            // Chosen once; nothing behind this line knows of rehearsals.
            Path store = data.resolve(run == null ? "orders" : "shadow-" + run);
            if (run != null) {
                exchange.getResponseHeaders().set("Seawall-Shadow", acknowledgement(run));
            }
            switch (exchange.getRequestMethod()) {
                case "POST" -> answer(exchange, 201, place(store, exchange));
                case "GET" -> answer(exchange, 200, "{\"orders\": " + count(store) + "}\n");
                default -> answer(exchange, 405, "");
            }
        } catch (BadMark | GeneralSecurityException bad) {
            answer(exchange, 400, "{\"code\": \"bad_mark\"}\n");
        }
    }

    static synchronized String place(Path store, HttpExchange exchange) throws IOException {
        byte[] body = exchange.getRequestBody().readNBytes(BODY_BYTES_MAX);
        String line = Base64.getEncoder().encodeToString(body) + "\n";
        Files.writeString(store, line, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
        return "{\"order\": " + count(store) + "}\n";
    }

    static long count(Path store) throws IOException {
        if (!Files.exists(store)) {
            return 0;
        }
        try (var lines = Files.lines(store)) {
            return lines.count();
        }
    }

    /** The run that a request belongs to; null: it is a real one. */
    static String run(HttpExchange exchange) throws BadMark, GeneralSecurityException {
        var headers = exchange.getRequestHeaders();
        List<String> marks = new ArrayList<>(headers.getOrDefault("Seawall-Mark", List.of()));
        for (String list : headers.getOrDefault("Baggage", List.of())) {
            for (String member : list.split(",")) {
                String[] parts = member.split(";")[0].split("=", 2);
                if (parts.length == 2 && parts[0].trim().equals("seawall.mark")) {
                    marks.add(parts[1].trim());
                }
            }
        }
        if (marks.isEmpty()) {
            return null;
        }
        String mark = marks.get(0);
        String[] parts = mark.split("\\.", -1);
        boolean shaped = parts.length == 4 && parts[0].equals("v1")
            && parts[1].matches("[A-Za-z0-9_-]{1,64}") && parts[2].matches("[1-9][0-9]{0,17}");
        if (!shaped || marks.stream().anyMatch(other -> !other.equals(mark))) {
            throw new BadMark();
        }
        String wanted = mac("seawall.mark.v1", String.join(".", parts[0], parts[1], parts[2]));
        boolean ours = MessageDigest.isEqual(wanted.getBytes(), parts[3].getBytes());
        if (!ours || Long.parseLong(parts[2]) <= System.currentTimeMillis() / 1000) {
            throw new BadMark();
        }
        return parts[1];
    }

    static String acknowledgement(String run) throws GeneralSecurityException {
        return "v1." + run + "." + mac("seawall.shadow.v1", "v1." + run);
    }

    static String mac(String label, String text) throws GeneralSecurityException {
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(key, "HmacSHA256"));
        mac.update((label + "\0" + text).getBytes(StandardCharsets.US_ASCII));
        return Base64.getUrlEncoder().withoutPadding().encodeToString(mac.doFinal());
    }

    static void answer(HttpExchange exchange, int status, String body) throws IOException {
        byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
        exchange.sendResponseHeaders(status, bytes.length == 0 ? -1 : bytes.length);
        exchange.getResponseBody().write(bytes);
    }
}
