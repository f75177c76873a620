import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.SSLSocketFactory;

/**
 * Visits the servers that stdin names, a line "HOST PORT" each, trusting what is in
 * the store of the property javax.net.ssl.trustStore. Each is at a port of
 * 127.0.0.1, and has to prove that it is HOST. For each prints a line: what it
 * served, or why it was refused.
 */
public class Visit {
    public static void main(String[] args) throws IOException {
        BufferedReader sites = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = sites.readLine()) != null; ) {
            String[] site = line.split(" ");
            String said;
            try {
                said = visit(site[0], Integer.parseInt(site[1]));
            } catch (IOException e) {
                StringBuilder causes = new StringBuilder();
                for (Throwable t = e; t != null; t = t.getCause()) {
                    causes.append(t).append(" ");
                }
                said = causes.toString();
            }
            System.out.println(said.replaceAll("\\s+", " "));
        }
    }

    static String visit(String host, int port) throws IOException {
        SSLSocketFactory factory = (SSLSocketFactory) SSLSocketFactory.getDefault();
        try (Socket line = new Socket("127.0.0.1", port);
                SSLSocket socket = (SSLSocket) factory.createSocket(line, host, port, true)) {
            line.setSoTimeout(20_000);
            SSLParameters parameters = socket.getSSLParameters();
            parameters.setEndpointIdentificationAlgorithm("HTTPS"); // else any name would do
            socket.setSSLParameters(parameters);
            socket.getOutputStream().write("GET / HTTP/1.0\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
            return new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        }
    }
}
